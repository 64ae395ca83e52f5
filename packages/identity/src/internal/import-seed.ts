import { nativeSigner } from './native-ed25519.ts'
import { portableSigner } from './portable-ed25519.ts'
import type { Signer } from './signer.ts'

/**
 * The right to sign with this 32-byte seed: native where the runtime can, the same bytes elsewhere. Zeroes the seed.
 * The public key of the result is computed, never the stated one.
 */
export function importSeed(seed: Uint8Array, statedPublicKey?: string): Signer {
  const signer = nativeSigner(seed, statedPublicKey) ?? portableSigner(seed)
  seed.fill(0)
  return signer
}
