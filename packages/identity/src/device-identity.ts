import type { DeviceId } from './device-id.ts'
import type { Signer } from './internal/signer.ts'
import type { StateLocation } from './internal/state-location.ts'
import { deviceIdOf, type PublicKey } from './public-key.ts'

/**
 * Who this install is, and the right to sign as it. There is no way to get the private key out of it: printing,
 * inspecting, serialising or cloning it gives the id and the public key.
 */
export interface DeviceIdentity {
  /** SHA-256 of the raw public key, as 64 lower-case hex digits. */
  readonly id: DeviceId
  readonly publicKey: PublicKey
  /** When the key was made (in memory: when this object was), in ms since 1970 by the clock of the machine that made it. */
  readonly createdAtMs: number
  /** Whether *this* call made the key. Of any number of processes that start together, one reads `true` here. */
  readonly created: boolean
  /** Where the key lies, or null for a key in memory only. */
  readonly location: StateLocation | null
  /**
   * 64 bytes: the Ed25519 signature (RFC 8032 §5.1.6) over exactly these bytes. Who signs a statement of their own
   * begins it with a 0x00 byte and a domain tag, so that no signature serves two purposes.
   */
  sign(message: Uint8Array): Uint8Array
}

/** The facts about an identity, beside the right to sign. */
export interface IdentityFacts {
  readonly publicKey: PublicKey
  readonly createdAtMs: number
  readonly created: boolean
  readonly location: StateLocation | null
}

/** An identity over a signer; this package makes them. */
export function identityOver(signer: Signer, facts: IdentityFacts): DeviceIdentity {
  return new SigningIdentity(signer, facts)
}

class SigningIdentity implements DeviceIdentity {
  readonly id: DeviceId
  readonly publicKey: PublicKey
  readonly createdAtMs: number
  readonly created: boolean
  readonly location: StateLocation | null
  readonly #signer: Signer

  constructor(signer: Signer, facts: IdentityFacts) {
    this.id = deviceIdOf(facts.publicKey)
    this.publicKey = facts.publicKey
    this.createdAtMs = facts.createdAtMs
    this.created = facts.created
    this.location = facts.location
    this.#signer = signer
    Object.freeze(this)
  }

  sign(message: Uint8Array): Uint8Array {
    if (!(message instanceof Uint8Array)) throw new TypeError('message must be bytes')
    return this.#signer.sign(message)
  }

  toJSON(): { id: DeviceId; publicKey: PublicKey } {
    return { id: this.id, publicKey: this.publicKey }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `DeviceIdentity { id: '${this.id}', publicKey: '${this.publicKey}' }`
  }
}
