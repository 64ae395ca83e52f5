import type { DeviceIdentity } from '@holdfast/identity'
import { connectToGateway, type GatewayConnection, isSpawnerError } from '@holdfast/spawner'
import { OPENCLAW_SCOPES, openClawClient } from '../openclaw-client.ts'
import { withV2Proofs } from '../v2-proofs.ts'

/** A gateway, and the right to speak to it. */
export interface Gateway {
  readonly url: string
  readonly token: string
  readonly signal: AbortSignal | undefined
}

/** How the gateway answered a device that asked for everything. */
export type Answer =
  | { readonly kind: 'admitted'; readonly connection: GatewayConnection }
  /** It wants a person to say yes to this request. */
  | {
      readonly kind: 'held'
      readonly requestId: string
      /** Is it a gateway of ours, where only people approve? */
      readonly byHoldfast: boolean
      /** What that person types, where the gateway says so. */
      readonly command: string | null
    }
  /** It does not know this signed string: it is of 2026.2. */
  | { readonly kind: 'proof-unknown' }

/**
 * Ask for everything, as this device.
 *
 * @throws `SpawnerError` for every other answer, and where there is none.
 */
export async function askForEverything(
  gateway: Gateway,
  identity: DeviceIdentity,
  proof: 'v2' | 'v3',
  displayName?: string,
): Promise<Answer> {
  const { url, token, signal } = gateway
  const client = openClawClient(identity)
  try {
    const connection = await connectToGateway({
      identity: proof === 'v2' ? withV2Proofs(identity) : identity,
      url,
      token,
      protocol: 'openclaw',
      role: 'operator',
      scopes: OPENCLAW_SCOPES,
      client: displayName === undefined ? client : { ...client, displayName },
      reconnect: false,
      signal,
    })
    return { kind: 'admitted', connection }
  } catch (error) {
    if (!isSpawnerError(error, 'ADMISSION_REFUSED')) throw error
    const { code, requestId, refusal, command } = error.detail
    const held = code === 'PAIRING_REQUIRED' || code === 'NOT_PAIRED'
    // It goes into a command line that somebody may copy.
    if (held && requestId !== null && /^[0-9A-Za-z-]{1,64}$/.test(requestId)) {
      return { kind: 'held', requestId, byHoldfast: refusal !== null, command }
    }
    // 2026.2 has no code of its own for a bad signature. Asked once more in the older form, it says what else is wrong.
    if (proof === 'v3' && (code === 'DEVICE_AUTH_SIGNATURE_INVALID' || code === 'INVALID_REQUEST')) {
      return { kind: 'proof-unknown' }
    }
    throw error
  }
}
