import { createHash } from 'node:crypto'
import {
  type AdmissionFacts,
  type AdmissionPolicy,
  type ConnectionOrigin,
  type ConnectParams,
  PROTOCOL_RANGE,
  type Refusal,
  selectCredential,
  verifyOpenClawProof,
  type Wish,
} from '@holdfast/handshake'
import { parseDeviceId } from '@holdfast/identity'
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
  readonly nowMs: number
}

/** What a readable `connect` says and proves, for the store to decide on. */
export function attemptOf(params: ConnectParams, wish: Wish, socket: ConnectSurroundings): AdmissionAttempt {
  const { origin, policy, token, nonce, nowMs } = socket
  return {
    frame: { ok: true, wish },
    proof: verifyOpenClawProof(params, { roles: policy.roles, nonce, nowMs }),
    credential: selectCredential(params.auth, presented => token.matches(presented)),
    origin,
    policy,
    name: params.client.displayName,
    claimedDeviceId: parseDeviceId(params.device?.id),
    handsOutToken: true,
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

/** One and the same for the same credentials, and nothing of them. */
export function digestOfCredentials({ auth }: ConnectParams): string {
  const shown = JSON.stringify([auth.token, auth.deviceToken, auth.bootstrapToken, auth.password])
  return createHash('sha256').update(shown).digest('base64url')
}
