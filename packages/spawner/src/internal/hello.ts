/** What a client needs of `hello-ok`. */
export interface Hello {
  readonly connectionId: string
  readonly scopes: readonly string[]
  readonly tickIntervalMs: number | null
}

/** A shorter interval than this would have us cut sockets for the scheduler's mood. */
const LEAST_TICK_INTERVAL_MS = 50
const MOST_TICK_INTERVAL_MS = 3_600_000

/**
 * The hello in an answer to `connect`, or `null` where it does not say who was admitted with what: a client that cannot
 * tell what it was given is not connected.
 */
export function readHello(payload: unknown, role: string): Hello | null {
  const hello = fieldsOf(payload)
  const auth = fieldsOf(hello['auth'])
  const connectionId = fieldsOf(hello['server'])['connId']
  const scopes = auth['scopes']
  if (typeof connectionId !== 'string' || connectionId === '' || auth['role'] !== role) return null
  if (!Array.isArray(scopes) || !scopes.every(scope => typeof scope === 'string')) return null
  const tick = fieldsOf(hello['policy'])['tickIntervalMs']
  return { connectionId, scopes, tickIntervalMs: isInterval(tick) ? tick : null }
}

function isInterval(value: unknown): value is number {
  return typeof value === 'number' && value >= LEAST_TICK_INTERVAL_MS && value <= MOST_TICK_INTERVAL_MS
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
