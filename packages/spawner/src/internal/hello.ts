import {
  BUILT_IN_ROLES,
  defineRoles,
  expandScopes,
  parseRole,
  parseScopes,
  type Scope,
} from '@holdfast/handshake'
import { plainText } from './peer-text.ts'

/** What a client needs of `hello-ok`. */
export interface Hello {
  /** `null` where the gateway gave none that can be shown. */
  readonly connectionId: string | null
  /** What the gateway says it gave; `null` where it says nothing of it. */
  readonly scopes: readonly string[] | null
  readonly tickIntervalMs: number | null
  /** The gateway's answer for itself, as it came. */
  readonly gateway: unknown
}

/** A shorter interval than this would have us cut sockets for the scheduler's mood. */
const LEAST_TICK_INTERVAL_MS = 50
const MOST_TICK_INTERVAL_MS = 3_600_000

const ROLES = defineRoles(BUILT_IN_ROLES)

/**
 * The hello in an answer to `connect`, or `null` where it does not say who was admitted with what.
 *
 * @param mayBeSilent whether it may leave that out, as gateways that are not ours do: OpenClaw 2026.4 has no `auth` for a
 * `gateway-client` in mode `backend`, and gives it exactly what it asked for. What is said is held to.
 */
export function readHello(payload: unknown, role: string, mayBeSilent: boolean): Hello | null {
  const hello = fieldsOf(payload)
  const auth = fieldsOf(hello['auth'])
  const connectionId = plainText(fieldsOf(hello['server'])['connId'], 128)
  const scopes = scopesIn(auth['scopes'])
  if (scopes === 'unreadable' || (auth['role'] !== undefined && auth['role'] !== role)) return null
  if (!mayBeSilent && (connectionId === null || scopes === null || auth['role'] === undefined)) return null
  const tick = fieldsOf(hello['policy'])['tickIntervalMs']
  return { connectionId, scopes, tickIntervalMs: isInterval(tick) ? tick : null, gateway: hello['gateway'] }
}

/**
 * The wished scopes that were not given. A gateway that names the whole grant of the device, as OpenClaw up to 2026.4 does,
 * may name a larger scope instead; one that says nothing gave what was asked.
 */
export function missingIn(hello: Hello, role: string, wished: readonly string[]): readonly string[] {
  const { scopes } = hello
  if (scopes === null) return []
  const known = parseRole(ROLES, role)
  const reached: ReadonlySet<string> =
    known === null
      ? new Set()
      : expandScopes(
          ROLES,
          known,
          scopes.flatMap((scope): readonly Scope[] => parseScopes(ROLES, known, [scope]) ?? []),
        )
  return wished.filter(scope => !scopes.includes(scope) && !reached.has(scope))
}

/** As many as are told of at most: far more than any gateway knows. */
const MOST_SCOPES = 256

function scopesIn(value: unknown): readonly string[] | null | 'unreadable' {
  if (value === undefined) return null
  if (!Array.isArray(value) || value.length > MOST_SCOPES) return 'unreadable'
  const scopes = value.flatMap(scope => plainText(scope, 128) ?? [])
  return scopes.length === value.length ? scopes : 'unreadable'
}

function isInterval(value: unknown): value is number {
  return typeof value === 'number' && value >= LEAST_TICK_INTERVAL_MS && value <= MOST_TICK_INTERVAL_MS
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
