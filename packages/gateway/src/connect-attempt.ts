import { createHash } from 'node:crypto'
import {
  type AdmissionFacts,
  type AdmissionPolicy,
  type ConnectionOrigin,
  type ConnectParams,
  type DialledAddress,
  type GatewayAnswer,
  type OutcomeFields,
  PROTOCOL_RANGE,
  type Refusal,
  selectCredential,
  signGatewayAnswer,
  verifyHoldfastProof,
  verifyOpenClawProof,
  type Wish,
} from '@holdfast/handshake'
import { type DeviceIdentity, type PublicKey, parseDeviceId } from '@holdfast/identity'
import type { AdmissionAttempt } from '@holdfast/pairing-store'
import type { TokenReading } from './gateway-token.ts'

/** The highest protocol number that both speak, or `null`. */
export function negotiate(params: ConnectParams): number | null {
  const highest = Math.min(params.maxProtocol, PROTOCOL_RANGE.max)
  return highest >= Math.max(params.minProtocol, PROTOCOL_RANGE.min) ? highest : null
}

/** What a gate knows of the socket that a `connect` came over. */
export interface ConnectSurroundings {
  readonly origin: ConnectionOrigin
  readonly policy: AdmissionPolicy
  readonly token: TokenReading
  readonly nonce: string
  /** The time in this socket's challenge. */
  readonly challengedAtMs: number
  readonly nowMs: number
  /** The gateway's own. */
  readonly identity: DeviceIdentity
  readonly isOwnAddress: (dialled: DialledAddress) => boolean
  readonly readPublicKey: (text: string) => PublicKey | null
}

/** What a readable `connect` says and proves. */
export interface ReadAttempt {
  /** For the store to decide on. */
  readonly attempt: AdmissionAttempt
  /** The gateway's answer for an admission, in the family that asks for one. */
  readonly answerFor: (outcome: Omit<OutcomeFields, 'transcriptHash'>) => GatewayAnswer | null
}

export function readAttempt(params: ConnectParams, wish: Wish, socket: ConnectSurroundings): ReadAttempt {
  const { origin, policy, token, nonce, identity, readPublicKey } = socket
  const common = { frame: { ok: true, wish }, origin, policy, name: params.client.displayName } as const
  const claimedDeviceId = parseDeviceId(params.device?.id)
  if (params.family === 'openclaw') {
    const proof = verifyOpenClawProof(params, {
      roles: policy.roles,
      nonce,
      nowMs: socket.nowMs,
      readPublicKey,
    })
    const credential = selectCredential(params.auth, token)
    const attempt = { ...common, proof, credential, claimedDeviceId, handsOutToken: true }
    return { attempt, answerFor: () => null }
  }
  const { challengedAtMs, isOwnAddress } = socket
  const { proof, credential, transcriptHash } = verifyHoldfastProof(params, {
    roles: policy.roles,
    gatewayId: identity.id,
    nonce,
    challengedAtMs,
    isOwnAddress,
    token,
    readPublicKey,
  })
  return {
    attempt: { ...common, proof, credential, claimedDeviceId },
    answerFor: outcome => signGatewayAnswer(identity, { ...outcome, transcriptHash }),
  }
}

/** The facts of a first frame that is no `connect`, or one that nobody understands. */
export function factsOfBadFrame(
  refusal: Refusal,
  socket: Pick<ConnectSurroundings, 'origin' | 'policy'>,
): AdmissionFacts {
  return {
    frame: { ok: false, refusal },
    credential: { kind: 'none' },
    proof: { verdict: 'absent' },
    origin: socket.origin,
    policy: socket.policy,
    device: null,
    room: { ok: true },
  }
}

/**
 * One and the same for the same credentials, and nothing of them. What `holdfast/1` shows is another for every socket, so
 * that there a device that is wrong again counts as the same, up to the bound that the delays set on repeats.
 */
export function digestOfCredentials(params: ConnectParams): string {
  const shown = JSON.stringify(shownIn(params))
  return createHash('sha256').update(shown).digest('base64url')
}

function shownIn(params: ConnectParams): readonly (string | null)[] {
  if (params.family === 'holdfast/1') return [params.credential.kind, params.device.publicKey]
  const { token, deviceToken, bootstrapToken, password } = params.auth
  return [token, deviceToken, bootstrapToken, password]
}
