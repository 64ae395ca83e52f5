import type { Scope } from '@holdfast/handshake'
import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import type { Actor } from '@holdfast/pairing-store'
import { isText } from './call-params.ts'
import { CallError, type Connection } from './connection.ts'

/**
 * Whoever calls: the connection's device, with what the connection holds. What it does would outlive a child.
 *
 * @throws {@link CallError} without a device, and for a delegated connection
 */
export function actorOf({ deviceId, role, scopes, delegation }: Connection, act: string): Actor {
  if (deviceId === null) throw denied(act, 'DEVICE_REQUIRED')
  if (delegation !== null) throw denied(act, 'DELEGATED')
  return { kind: 'device', deviceId, role, scopes }
}

/**
 * The same where a peer without a device may act as well, with the scopes that the gate's author fixed for such.
 *
 * @throws {@link CallError} for a delegated connection
 */
export function answererOf({ deviceId, role, scopes, delegation }: Connection, act: string): Actor {
  if (delegation !== null) throw denied(act, 'DELEGATED')
  return deviceId === null ? { kind: 'deviceless', role, scopes } : { kind: 'device', deviceId, role, scopes }
}

/** A whole device id. @throws {@link CallError} */
export function deviceIdIn(value: unknown): DeviceId {
  const deviceId = isText(value) ? parseDeviceId(value) : null
  if (deviceId === null) throw unknownId('deviceId')
  return deviceId
}

/** In the two wordings that OpenClaw's clients know: a peer that showed the gateway token is told what it lacks. */
export function missingScopes(connection: Connection, act: string, missing: readonly Scope[]): CallError {
  const details = { missing }
  if (connection.credential !== 'gateway-token' || missing.length === 0) {
    return denied(act, 'MISSING_SCOPE', details)
  }
  return new CallError('FORBIDDEN', `missing scope: ${missing.join(', ')}`, {
    details: { code: 'MISSING_SCOPE', ...details },
  })
}

/** The act is not theirs to do. */
export function denied(
  act: string,
  code: string,
  details: Readonly<Record<string, unknown>> = {},
): CallError {
  return new CallError('FORBIDDEN', `${act} denied`, { details: { code, ...details } })
}

/** There is a tombstone, which calls do not lift. */
export function deviceRevoked(): CallError {
  return new CallError('INVALID_REQUEST', 'device revoked', { details: { code: 'DEVICE_REVOKED' } })
}

/** No such device or request: never an answer that looks like success. */
export function unknownId(field: 'deviceId' | 'requestId'): CallError {
  return new CallError('INVALID_REQUEST', `unknown ${field}`, { details: { code: 'ID_UNKNOWN', field } })
}

/** A parameter that is not what it must be. */
export function invalid(field: string): CallError {
  return new CallError('INVALID_REQUEST', `invalid ${field}`, { details: { code: 'PARAMS_INVALID', field } })
}
