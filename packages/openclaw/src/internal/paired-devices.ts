import { type GatewayConnection, isSpawnerError } from '@holdfast/spawner'

/** How long a gateway may take for one call, in ms: 2026.9 takes seconds with a thousand devices. */
export const CALL_TIMEOUT_MS = 30_000

/** A line in a gateway's books. Everything in it is the gateway's word, and the name is its device's. */
export interface BookedDevice {
  readonly deviceId: string
  readonly displayName: string | null
}

/** What a gateway has written down about devices, as far as it matters here. */
export interface PairingList {
  readonly pending: readonly (BookedDevice & { readonly requestId: string; readonly role: string | null })[]
  readonly paired: readonly BookedDevice[]
}

/**
 * The devices and the open requests of a gateway; none where it does not tell. The connection needs `operator.pairing`.
 */
export async function listPairing(connection: GatewayConnection): Promise<PairingList> {
  const answer = fieldsOf(await listOf(connection))
  return {
    pending: entriesOf(answer['pending']).flatMap(entry => {
      const device = deviceOf(entry)
      const { requestId, role } = entry
      if (device === null || typeof requestId !== 'string') return []
      return [{ ...device, requestId, role: typeof role === 'string' ? role : null }]
    }),
    paired: entriesOf(answer['paired']).flatMap(entry => deviceOf(entry) ?? []),
  }
}

function deviceOf({ deviceId, displayName }: Readonly<Record<string, unknown>>): BookedDevice | null {
  if (typeof deviceId !== 'string') return null
  return { deviceId, displayName: typeof displayName === 'string' ? displayName : null }
}

async function listOf(connection: GatewayConnection): Promise<unknown> {
  try {
    return await connection.call('device.pair.list', {}, { signal: AbortSignal.timeout(CALL_TIMEOUT_MS) })
  } catch (error) {
    if (isSpawnerError(error, 'CALL_FAILED')) return null
    throw error
  }
}

function entriesOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map(fieldsOf) : []
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
