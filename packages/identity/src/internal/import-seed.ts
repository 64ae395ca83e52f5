import { nativeSigner } from './native-ed25519.ts'
import { portableSigner } from './portable-ed25519.ts'
import type { Signer } from './signer.ts'

/** The right to sign with this 32-byte seed: native where the runtime can, the same bytes elsewhere. Zeroes the seed. */
export function importSeed(seed: Uint8Array): Signer {
  const signer = nativeSigner(seed) ?? portableSigner(seed)
  seed.fill(0)
  return signer
}
