export { type DeviceId, deviceIdOf, parseDeviceId } from './device-id.ts'
export type { DeviceIdentity } from './device-identity.ts'
export {
  IdentityError,
  type IdentityErrorCode,
  type IdentityFailures,
  isIdentityError,
} from './errors.ts'
export type { StateLocation } from './internal/state-location.ts'
export { findIdentity, type IdentityOptions, openIdentity, openIdentitySync } from './open-identity.ts'
export { formatPublicKey, type PublicKey, parsePublicKey } from './public-key.ts'
export { verifySignature } from './signature.ts'
export { createEphemeralIdentity, identityFrom, type KeySource } from './transfer.ts'
