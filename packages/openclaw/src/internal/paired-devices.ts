import { type GatewayConnection, isSpawnerError } from '@holdfast/spawner'

/** What a gateway has written down about devices, as far as it matters here. Everything in it is the gateway's word. */
export interface PairingList {
  readonly pending: readonly { readonly requestId: string; readonly deviceId: string }[]
  readonly paired: readonly { readonly deviceId: string; readonly displayName: string | null }[]
}

/**
 * The devices and the open requests of a gateway; none where it does not tell. The connection needs `operator.pairing`.
 */
export async function listPairing(connection: GatewayConnection): Promise<PairingList> {
  const answer = fieldsOf(await listOf(connection))
  return {
    pending: entriesOf(answer['pending']).flatMap(({ requestId, deviceId }) =>
      typeof requestId === 'string' && typeof deviceId === 'string' ? [{ requestId, deviceId }] : [],
    ),
    paired: entriesOf(answer['paired']).flatMap(({ deviceId, displayName }) =>
      typeof deviceId === 'string'
        ? [{ deviceId, displayName: typeof displayName === 'string' ? displayName : null }]
        : [],
    ),
  }
}

async function listOf(connection: GatewayConnection): Promise<unknown> {
  try {
    return await connection.call('device.pair.list', {})
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
