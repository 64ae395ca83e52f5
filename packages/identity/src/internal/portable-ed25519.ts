import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import type { Signer } from './signer.ts'

type Noble = typeof import('@noble/ed25519')

let loaded: Noble | null = null

// Required, not imported: openIdentitySync cannot await, and no process with native Ed25519 should pay for it.
function noble(): Noble {
  if (loaded === null) {
    loaded = createRequire(import.meta.url)('@noble/ed25519') as Noble
    loaded.hashes.sha512 = sha512
  }
  return loaded
}

/** A signer in plain JavaScript, for runtimes without native Ed25519. The same bytes as the native one. */
export function portableSigner(seed: Uint8Array): Signer {
  return new PortableSigner(seed)
}

/**
 * The portable verdict: valid exactly if encode([S]B − [k]A) equals R byte for byte (RFC 8032 §5.1.7, without
 * the cofactor), which is what native verification computes. The library's own `verify` multiplies by the
 * cofactor and so accepts more. The caller has done the byte checks.
 */
export function portableVerify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const { Point } = noble()
  const r = signature.subarray(0, 32)
  const s = toBigInt(signature.subarray(32))
  const k = toBigInt(sha512(Buffer.concat([r, key, message]))) % Point.CURVE().n
  let a: InstanceType<typeof Point>
  try {
    a = Point.fromBytes(key)
  } catch {
    return false // y is no coordinate of any point on the curve
  }
  const expected = Point.BASE.multiply(s, false).subtract(a.multiply(k, false)).toBytes()
  return Buffer.from(expected).equals(r)
}

class PortableSigner implements Signer {
  readonly implementation = 'portable'
  readonly publicKey: Uint8Array
  readonly #seed: Uint8Array

  constructor(seed: Uint8Array) {
    this.#seed = Uint8Array.from(seed)
    this.publicKey = noble().getPublicKey(this.#seed)
  }

  sign(message: Uint8Array): Uint8Array {
    return noble().sign(message, this.#seed)
  }
}

function sha512(message: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(createHash('sha512').update(message).digest())
}

function toBigInt(littleEndian: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`)
}
