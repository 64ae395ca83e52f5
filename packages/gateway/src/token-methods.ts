import type { PairingStore, TokenAnswer } from '@holdfast/pairing-store'
import { isText, isTextList, type Params } from './call-params.ts'
import { actorOf, denied, deviceIdIn, deviceRevoked, invalid, unknownId } from './call-refusals.ts'
import { CallError, type Connection } from './connection.ts'

/** `device.token.rotate`: a token beside the current one, for the device and nobody else. */
export async function rotateToken(
  store: PairingStore,
  { deviceId, role, scopes }: Params,
  connection: Connection,
): Promise<unknown> {
  const act = 'device token rotation'
  const by = actorOf(connection, act)
  const id = deviceIdIn(deviceId)
  if (!isText(role)) throw invalid('role')
  if (scopes !== undefined && !isTextList(scopes)) throw invalid('scopes')
  // Only the device itself is shown it, and not over a connection that anybody with the gateway token could have made.
  const isTold = connection.deviceId === id && connection.credential !== 'gateway-token'
  const delivery = isTold ? 'answer' : 'hello'
  const answer = await store.rotateDeviceToken(id, {
    by,
    role,
    delivery,
    ...(scopes !== undefined && { scopes }),
  })
  switch (answer.outcome) {
    case 'rotated': {
      const { token, issuedAtMs, expiresAtMs } = answer.issued
      return { deviceId: id, role, scopes: answer.scopes, token, rotatedAtMs: issuedAtMs, expiresAtMs }
    }
    case 'promised':
      return { deviceId: id, role, scopes: answer.scopes, delivery: 'next-hello' }
    default:
      throw tokenRefusal(answer, act)
  }
}

/** `device.token.revoke`: of all tokens of a device in a role. */
export async function revokeToken(
  store: PairingStore,
  { deviceId, role }: Params,
  connection: Connection,
): Promise<unknown> {
  const act = 'device token revocation'
  const by = actorOf(connection, act)
  const id = deviceIdIn(deviceId)
  if (!isText(role)) throw invalid('role')
  const answer = await store.revokeDeviceToken(id, { by, role })
  if (answer.outcome === 'revoked') return { deviceId: id, role, revokedAtMs: answer.revokedAtMs }
  throw tokenRefusal(answer, act)
}

function tokenRefusal(answer: TokenAnswer, act: string): CallError {
  switch (answer.outcome) {
    case 'approver-too-small':
      return denied(act, 'MISSING_SCOPE', { missing: answer.missing })
    case 'scope-unknown':
      return denied(act, 'SCOPE_UNKNOWN')
    case 'role-unknown':
      return denied(act, 'ROLE_UNKNOWN')
    case 'device-revoked':
      return deviceRevoked()
    case 'rotation-pending':
      return new CallError('UNAVAILABLE', 'the device was given a new token a moment ago', {
        details: { code: 'ROTATION_PENDING', retryAfterMs: answer.retryAfterMs },
      })
    case 'token-absent':
      return new CallError('INVALID_REQUEST', 'the device has no token in that role', {
        details: { code: 'TOKEN_ABSENT' },
      })
    default:
      return unknownId('deviceId')
  }
}
