import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { IdentityError } from '../errors.ts'
import { formatPublicKey, publicKeyFromBytes } from '../public-key.ts'
import type { KeySource } from '../transfer.ts'
import { importSeed } from './import-seed.ts'
import { forgetLastMatch, seedFrom } from './key-file.ts'
import { PKCS8_HEADER } from './native-ed25519.ts'

/** A private key out of whatever form it came in. The seed is secret: zero it when it is used. */
export interface FoundSeed {
  readonly seed: Uint8Array
  /** When the key was made, where the source says so. */
  readonly createdAtMs: number | null
}

/**
 * The private key in this source.
 *
 * @throws {@link IdentityError} `KEY_SOURCE_UNSUPPORTED`
 */
export function readSource(source: KeySource): FoundSeed {
  try {
    return seedIn(source)
  } finally {
    forgetLastMatch()
  }
}

function seedIn(source: KeySource): FoundSeed {
  if ('seed' in source) return undated(seedFromRaw(source.seed))
  if ('jwk' in source) return undated(seedFromJwk(source.jwk))
  if ('pem' in source) return undated(seedFromPem(source.pem))
  if ('pkcs8' in source) return undated(seedFromPkcs8(source.pkcs8))
  if ('deviceJson' in source) return seedFromDeviceJson(source.deviceJson)
  throw new TypeError('a key source has one of pem, pkcs8, jwk, seed, deviceJson')
}

function undated(seed: Uint8Array): FoundSeed {
  return { seed, createdAtMs: null }
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
  return stated === undefined ? seed : checkedAgainst(seed, stated)
}

function seedFromPem(pem: unknown): Uint8Array {
  const block =
    typeof pem === 'string'
      ? /^\s*-----BEGIN ([A-Z0-9 ]+)-----([\sA-Za-z0-9+/=]+)-----END \1-----\s*$/.exec(pem)
      : null
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

/** OpenClaw's `device.json` of version 1: two PEM texts. The id that it states counts for nothing, as with OpenClaw itself. */
function seedFromDeviceJson(text: unknown): FoundSeed {
  const fields = parseObject(text)
  if (fields?.['version'] !== 1) throw unsupported('malformed', null)
  const seed = seedFromPem(fields['privateKeyPem'])
  const stated = fields['publicKeyPem']
  const { createdAtMs } = fields
  return {
    seed: stated === undefined ? seed : checkedAgainst(seed, publicTextIn(stated)),
    createdAtMs: Number.isSafeInteger(createdAtMs) && Number(createdAtMs) >= 0 ? Number(createdAtMs) : null,
  }
}

function publicTextIn(pem: unknown): string | undefined {
  if (typeof pem !== 'string' || !pem.includes('PUBLIC KEY')) return undefined
  try {
    return createPublicKey(pem).export({ format: 'jwk' }).x
  } catch {
    return undefined // No public key at all, so not the one of this private key.
  }
}

/** No error of the parser is passed on: it quotes what it could not read. */
function parseObject(text: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof text !== 'string') return null
  try {
    const value: unknown = JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function checkedAgainst(seed: Uint8Array, stated: unknown): Uint8Array {
  const publicKey = publicKeyFromBytes(importSeed(Uint8Array.from(seed)).publicKey)
  if (publicKey !== null && stated === formatPublicKey(publicKey)) return seed
  seed.fill(0)
  throw unsupported('public-key-mismatch', null)
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
