import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import type { Signer } from './signer.ts'

/** PKCS#8 and SPKI headers of an Ed25519 key (RFC 8410 §7 and §4); the 32 raw bytes follow. */
export const PKCS8_HEADER = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_HEADER = Buffer.from('302a300506032b6570032100', 'hex')

/**
 * A signer over `node:crypto`, or `null` where this runtime has no native Ed25519. The seed is not kept.
 *
 * @param statedPublicKey the public key in base64url, where a file states one. It only chooses the quicker way in (a JWK
 * needs it, and the first DER in a process costs half a millisecond more); the signer's own key is computed.
 */
export function nativeSigner(seed: Uint8Array, statedPublicKey?: string): Signer | null {
  try {
    return new NativeSigner(
      statedPublicKey === undefined ? keyFromDer(seed) : keyFromJwk(seed, statedPublicKey),
    )
  } catch (error) {
    // 32 bytes cannot be malformed: what fails here is a runtime without Ed25519.
    if (seed.length === 32) return null
    throw error
  }
}

function keyFromDer(seed: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_HEADER, seed])
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } finally {
    der.fill(0)
  }
}

function keyFromJwk(seed: Uint8Array, x: string): KeyObject {
  const d = Buffer.from(seed).toString('base64url')
  return createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', d, x }, format: 'jwk' })
}

/**
 * A raw public key as the runtime's key, or `null` where this runtime has no native Ed25519. It is handed over as PEM: Node 24
 * looks at each object by an error that it makes and catches, which takes three times as long as reading the text (78 and
 * 21 µs of CPU with 24.21.0; 28 and 28 with 22.23.3).
 */
export function nativePublicKey(raw: Uint8Array): KeyObject | null {
  const spki = Buffer.concat([SPKI_HEADER, raw]).toString('base64')
  try {
    return createPublicKey(`-----BEGIN PUBLIC KEY-----\n${spki}\n-----END PUBLIC KEY-----\n`)
  } catch (error) {
    if (raw.length === 32) return null
    throw error
  }
}

/** The runtime's verdict: exact, unbatched, byte for byte. The caller has done the byte checks. */
export function nativeVerify(key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  return verify(null, message, key, signature)
}

class NativeSigner implements Signer {
  readonly implementation = 'native'
  readonly publicKey: Uint8Array
  readonly #key: KeyObject

  constructor(key: KeyObject) {
    this.#key = key
    this.publicKey = Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url')
  }

  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.#key))
  }
}
