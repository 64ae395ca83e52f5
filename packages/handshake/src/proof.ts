import type { DeviceId, PublicKey } from '@holdfast/identity'
import { wasVerified } from './internal/verified.ts'
import type { Wish } from './scopes.ts'

declare const verifiedBrand: unique symbol

/** Which signed string was verified. */
export type ProofFamily = 'openclaw-v2' | 'openclaw-v3' | 'holdfast/1'

/**
 * A device has shown, on this socket and now, that it holds its key and wishes this.
 * Only the verification of this package makes one, frozen; the rules and the store accept nothing less, not even a copy.
 */
export interface VerifiedProof {
  readonly [verifiedBrand]: true
  readonly family: ProofFamily
  readonly deviceId: DeviceId
  readonly publicKey: PublicKey
  readonly wish: Wish
  /** What the client says of itself, as far as it was signed. */
  readonly client: {
    readonly id: string
    readonly mode: string
    /** As signed: trimmed, in ASCII lower case. `null` where it is blank or the proof family leaves it unsigned. */
    readonly platform: string | null
    /** As {@link platform}. */
    readonly deviceFamily: string | null
  }
}

/** What came of looking at a proof, in the order of the rules 4 to 7. */
export type ProofVerdict =
  | { readonly verdict: 'absent' }
  /** Not the one spelling of a key, not canonical, or of small order. */
  | { readonly verdict: 'public-key-invalid' }
  | { readonly verdict: 'device-id-mismatch' }
  /** Absent, another socket's, or used. */
  | { readonly verdict: 'nonce-mismatch' }
  /** `deltaMs`: the peer's clock minus the gateway's. */
  | { readonly verdict: 'signature-expired'; readonly deltaMs: number; readonly limitMs: number }
  /** `holdfast/1`: it was made for another gateway. */
  | { readonly verdict: 'gateway-mismatch' }
  /** `holdfast/1`: what was dialled is none of the gateway's addresses. */
  | { readonly verdict: 'address-mismatch'; readonly dialled: string }
  | { readonly verdict: 'signature-invalid' }
  | { readonly verdict: 'verified'; readonly proof: VerifiedProof }

/** Is this a proof that was verified in this process, and not merely something of its shape? */
export function isVerifiedProof(value: unknown): value is VerifiedProof {
  return wasVerified(value)
}
