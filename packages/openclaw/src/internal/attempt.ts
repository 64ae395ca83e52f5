import type { DeviceIdentity } from '@holdfast/identity'
import { connectToGateway, type GatewayConnection, isSpawnerError } from '@holdfast/spawner'
import { OPENCLAW_SCOPES, openClawClient } from '../openclaw-client.ts'

/** A gateway, and the right to speak to it. */
export interface Gateway {
  readonly url: string
  readonly token: string
  readonly signal: AbortSignal | undefined
}

/** How the gateway answered a device that asked for everything. */
export type Answer =
  | {
      readonly kind: 'admitted'
      readonly connection: GatewayConnection
      /** The signed string that it took. */
      readonly proof: 'v2' | 'v3'
    }
  /** It wants a person to say yes to this request. */
  | {
      readonly kind: 'held'
      readonly requestId: string
      /** Is it a gateway of ours, where only people approve? */
      readonly byHoldfast: boolean
      /** What that person types, where the gateway says so. */
      readonly command: string | null
    }

/**
 * Ask for everything, as this device.
 *
 * @throws `SpawnerError` for every other answer, and where there is none.
 */
export async function askForEverything(
  gateway: Gateway,
  identity: DeviceIdentity,
  displayName?: string,
): Promise<Answer> {
  const { url, token, signal } = gateway
  const client = openClawClient(identity)
  let proof: 'v2' | 'v3' = 'v3'
  const watched: DeviceIdentity = {
    ...publicHalf(identity),
    sign: message => {
      proof = isV2(message) ? 'v2' : 'v3'
      return identity.sign(message)
    },
  }
  try {
    const connection = await connectToGateway({
      identity: watched,
      url,
      token,
      protocol: 'openclaw',
      role: 'operator',
      scopes: OPENCLAW_SCOPES,
      client: displayName === undefined ? client : { ...client, displayName },
      reconnect: false,
      signal,
    })
    return { kind: 'admitted', connection, proof }
  } catch (error) {
    if (!isSpawnerError(error, 'ADMISSION_REFUSED')) throw error
    const { code, requestId, refusal, command } = error.detail
    const held = code === 'PAIRING_REQUIRED' || code === 'NOT_PAIRED'
    // It goes into a command line that somebody may copy.
    if (held && requestId !== null && /^[0-9A-Za-z-]{1,64}$/.test(requestId)) {
      return { kind: 'held', requestId, byHoldfast: refusal !== null, command }
    }
    throw error
  }
}

const V2 = new TextEncoder().encode('v2|')

function isV2(message: Uint8Array): boolean {
  return V2.every((byte, index) => message[index] === byte)
}

function publicHalf({ id, publicKey, createdAtMs, created, location }: DeviceIdentity) {
  return { id, publicKey, createdAtMs, created, location }
}
