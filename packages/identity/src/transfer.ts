import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
import { type DeviceIdentity, identityOver } from './device-identity.ts'
import { IdentityError } from './errors.ts'
import { importSeed } from './internal/import-seed.ts'
import { seedFrom } from './internal/key-file.ts'
import { PKCS8_HEADER } from './internal/native-ed25519.ts'
import { readClock } from './internal/surroundings.ts'
import { formatPublicKey, publicKeyFromBytes } from './public-key.ts'

/** An Ed25519 private key in one of the forms in which keys travel. */
export type KeySource =
  /** PKCS#8 text (RFC 8410 §7), unencrypted. */
  | { readonly pem: string }
  /** The same in DER: bytes, or hex text. */
  | { readonly pkcs8: Uint8Array | string }
  /** A private OKP key (RFC 8037 §2); its `x`, where given, must be the public key of its `d`. */
  | { readonly jwk: Readonly<Record<string, unknown>> }
  /** The 32-byte secret of RFC 8032 §5.1.5: bytes, 43 characters of unpadded base64url, or 64 hex digits. */
  | { readonly seed: Uint8Array | string }

/**
 * An identity out of a key that you keep elsewhere. It lives in memory and never touches a disk; `createdAtMs` is now.
 *
 * @throws {@link IdentityError} `KEY_SOURCE_UNSUPPORTED`: not an Ed25519 private key in one of these forms. The error
 * says which other kind was found and quotes nothing of the key.
 */
export function identityFrom(source: KeySource): DeviceIdentity {
  return inMemory(seedOf(source), false)
}

/** A new identity that lives in memory and is gone with it. */
export function createEphemeralIdentity(): DeviceIdentity {
  return inMemory(randomBytes(32), true)
}

function inMemory(seed: Uint8Array, created: boolean): DeviceIdentity {
  const signer = importSeed(seed)
  const publicKey = publicKeyFromBytes(signer.publicKey)
  if (publicKey === null) throw unsupported('malformed', null)
  return identityOver(signer, { publicKey, createdAtMs: readClock(), created, location: null })
}

function seedOf(source: KeySource): Uint8Array {
  if ('seed' in source) return seedFromRaw(source.seed)
  if ('jwk' in source) return seedFromJwk(source.jwk)
  if ('pem' in source) return seedFromPem(source.pem)
  if ('pkcs8' in source) return seedFromPkcs8(source.pkcs8)
  throw new TypeError('a key source has one of pem, pkcs8, jwk, seed')
}

function seedFromRaw(seed: unknown): Uint8Array {
  if (seed instanceof Uint8Array && seed.length === 32) return Uint8Array.from(seed)
  if (typeof seed === 'string' && /^[0-9a-fA-F]{64}$/.test(seed)) return Buffer.from(seed, 'hex')
  const decoded = seedFrom(seed)
  if (decoded === null) throw unsupported('malformed', null)
  return decoded
}

function seedFromJwk(jwk: Readonly<Record<string, unknown>>): Uint8Array {
  if (jwk['kty'] !== 'OKP' || jwk['crv'] !== 'Ed25519') {
    throw unsupported('not-ed25519', nameOnly(jwk['crv'] ?? jwk['kty']))
  }
  const seed = seedFrom(jwk['d'])
  if (seed === null) throw unsupported('malformed', null)
  const stated = jwk['x']
  if (stated !== undefined && stated !== publicTextOf(seed)) {
    seed.fill(0)
    throw unsupported('public-key-mismatch', null)
  }
  return seed
}

function seedFromPem(pem: string): Uint8Array {
  const block = /^\s*-----BEGIN ([A-Z0-9 ]+)-----([\sA-Za-z0-9+/=]+)-----END \1-----\s*$/.exec(pem)
  if (block === null) throw unsupported('malformed', null)
  const [, label, body] = block
  if (label === 'ENCRYPTED PRIVATE KEY') throw unsupported('encrypted', null)
  if (label !== 'PRIVATE KEY') throw unsupported('not-ed25519', label ?? null)
  return seedFromPkcs8(Buffer.from(body ?? '', 'base64'))
}

function seedFromPkcs8(source: Uint8Array | string): Uint8Array {
  if (typeof source === 'string' && !/^([0-9a-fA-F]{2})+$/.test(source)) throw unsupported('malformed', null)
  const der = typeof source === 'string' ? Buffer.from(source, 'hex') : Buffer.from(source)
  try {
    if (der.length === 48 && der.subarray(0, 16).equals(PKCS8_HEADER))
      return Uint8Array.from(der.subarray(16))
    return seedFromKeyObject(parsePkcs8(der))
  } finally {
    der.fill(0)
  }
}

/** The longer form, with attributes or the public key (RFC 5958 §2), and the forms of other algorithms. */
function parsePkcs8(der: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } catch (cause) {
    throw unsupported('malformed', null, cause)
  }
}

function seedFromKeyObject(key: KeyObject): Uint8Array {
  if (key.asymmetricKeyType !== 'ed25519') throw unsupported('not-ed25519', key.asymmetricKeyType ?? null)
  const seed = seedFrom(key.export({ format: 'jwk' })['d'])
  if (seed === null) throw unsupported('malformed', null)
  return seed
}

function publicTextOf(seed: Uint8Array): string | null {
  const publicKey = publicKeyFromBytes(importSeed(Uint8Array.from(seed)).publicKey)
  return publicKey === null ? null : formatPublicKey(publicKey)
}

/** The name of a curve or key type, where it looks like one: nothing else of a key is ever quoted. */
function nameOnly(value: unknown): string | null {
  return typeof value === 'string' && /^[A-Za-z0-9-]{1,16}$/.test(value) ? value : null
}

function unsupported(
  reason: 'not-ed25519' | 'malformed' | 'encrypted' | 'public-key-mismatch',
  found: string | null,
  cause?: unknown,
): IdentityError<'KEY_SOURCE_UNSUPPORTED'> {
  const fix = 'Give an unencrypted Ed25519 private key as PKCS#8, JWK or 32-byte seed.'
  return new IdentityError('KEY_SOURCE_UNSUPPORTED', { reason, found, fix }, { cause })
}
