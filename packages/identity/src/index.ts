export { type DeviceId, parseDeviceId } from './device-id.ts'
export type { DeviceIdentity } from './device-identity.ts'
export {
  IdentityError,
  type IdentityErrorCode,
  type IdentityFailures,
  isIdentityError,
} from './errors.ts'
export {
  type FileSystemFacts,
  type Finding,
  type IdentityInspection,
  type InspectedPath,
  type InspectOptions,
  inspectIdentity,
  type Leftover,
} from './inspection.ts'
export type { StateLocation } from './internal/state-location.ts'
export { findIdentity, type IdentityOptions, openIdentity, openIdentitySync } from './open-identity.ts'
export { deviceIdOf, formatPublicKey, type PublicKey, parsePublicKey } from './public-key.ts'
export { type ResetIdentity, type ResetOptions, resetIdentity } from './reset-identity.ts'
export { verifySignature } from './signature.ts'
export {
  createEphemeralIdentity,
  type ExportOptions,
  exportIdentity,
  identityFrom,
  importIdentity,
  type KeySource,
} from './transfer.ts'
