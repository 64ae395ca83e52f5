import { hash, type KeyObject } from 'node:crypto'
import type { DeviceId } from './device-id.ts'
import { isAcceptablePoint } from './internal/canonical-bytes.ts'
import { nativePublicKey } from './internal/native-ed25519.ts'

/**
 * An Ed25519 public key that passed every check of ours: 32 bytes, canonical, not of small order.
 * Only {@link parsePublicKey} makes one from outside text.
 */
export type PublicKey = CheckedPublicKey

class CheckedPublicKey {
  readonly #raw: Uint8Array
  #native: KeyObject | null | undefined
  #deviceId: DeviceId | undefined
  #text: string | undefined

  constructor(raw: Uint8Array) {
    this.#raw = Uint8Array.from(raw)
  }

  /** The raw key, 32 bytes (RFC 8032 §5.1.5). A copy: changing it changes nothing. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#raw)
  }

  /** The one spelling of this key: see {@link formatPublicKey}. */
  toString(): string {
    this.#text ??= Buffer.from(this.#raw).toString('base64url')
    return this.#text
  }

  toJSON(): string {
    return this.toString()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `PublicKey(${this.toString()})`
  }

  static isOne(value: unknown): value is CheckedPublicKey {
    return typeof value === 'object' && value !== null && #raw in value
  }

  /** The runtime's own key, made once; null where the runtime has no Ed25519. */
  static nativeOf(key: CheckedPublicKey): KeyObject | null {
    if (key.#native === undefined) key.#native = nativePublicKey(key.#raw)
    return key.#native
  }

  /** See `deviceIdOf`; made once. */
  static deviceIdOf(key: CheckedPublicKey): DeviceId {
    key.#deviceId ??= hash('sha256', key.#raw, 'hex') as DeviceId
    return key.#deviceId
  }
}

/**
 * A public key out of outside text, or `null`.
 *
 * One spelling is accepted: 43 characters of unpadded base64url whose unused bits are zero. Keys that are not
 * canonical (y ≥ p) or of small order are refused here, so that no holder of a {@link PublicKey} has to think of them.
 */
export function parsePublicKey(text: unknown): PublicKey | null {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(text)) return null
  const raw = Buffer.from(text, 'base64url')
  return raw.toString('base64url') === text ? publicKeyFromBytes(raw) : null
}

/** The one spelling of a public key: 43 characters of unpadded base64url. */
export function formatPublicKey(key: PublicKey): string {
  return key.toString()
}

/** A public key out of its 32 raw bytes, or `null`; for this package's own keys. */
export function publicKeyFromBytes(raw: Uint8Array): PublicKey | null {
  return isAcceptablePoint(raw) ? new CheckedPublicKey(raw) : null
}

/** Whether a value really is a {@link PublicKey}, whatever its type claims. */
export const isPublicKey = CheckedPublicKey.isOne

/** The runtime's own form of a key, or `null` where it has no Ed25519. */
export const nativeFormOf = CheckedPublicKey.nativeOf

/** The id of the device that holds this key. An id cannot be chosen: it is the hash of the key. */
export const deviceIdOf: (key: PublicKey) => DeviceId = CheckedPublicKey.deviceIdOf
