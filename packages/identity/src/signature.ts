import { isAcceptablePoint, isReducedScalar } from './internal/canonical-bytes.ts'
import { nativeVerify } from './internal/native-ed25519.ts'
import { portableVerify } from './internal/portable-ed25519.ts'
import { isPublicKey, nativeFormOf, type PublicKey } from './public-key.ts'

/**
 * Whether `signature` is this key's signature over `message`.
 *
 * One verdict on every runtime and version: 64 bytes; R canonical and not of small order; S below the group order;
 * then encode([S]B − [k]A) equals R byte for byte (RFC 8032 §5.1.7, unbatched, no cofactor). The key's own checks were
 * done when it was parsed. Never throws: anything that is not bytes, or not a parsed key, is simply not a signature.
 */
export function verifySignature(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isPublicKey(key) || !isBytes(message) || !isBytes(signature) || signature.length !== 64) return false
  // A copy, so that memory shared with another thread cannot change between the checks and the verdict.
  const fixed = new Uint8Array(signature)
  if (!isAcceptablePoint(fixed.subarray(0, 32)) || !isReducedScalar(fixed.subarray(32))) return false
  const native = nativeFormOf(key)
  return native === null
    ? portableVerify(key.toBytes(), message, fixed)
    : nativeVerify(native, message, fixed)
}

function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array
}
