import { basename, dirname } from 'node:path'
import type { DeviceId } from '../device-id.ts'
import { IdentityError, type IdentityFailures } from '../errors.ts'
import { deviceIdOf, formatPublicKey, type PublicKey, publicKeyFromBytes } from '../public-key.ts'
import { importSeed } from './import-seed.ts'
import { quoted } from './shell-words.ts'
import type { Signer } from './signer.ts'

/** A key as it lies on disk, checked against itself. */
export interface StoredKey {
  readonly deviceId: DeviceId
  readonly publicKey: PublicKey
  readonly createdAtMs: number
  readonly signer: Signer
}

/** The bytes of a key file. The seed is part of them: zero them when they are written. */
export function formatKeyFile(seed: Uint8Array, publicKey: PublicKey, createdAtMs: number): Buffer {
  const fields = {
    format: 'holdfast-key',
    version: 1,
    deviceId: deviceIdOf(publicKey),
    publicKey: formatPublicKey(publicKey),
    secretKey: Buffer.from(seed).toString('base64url'),
    createdAtMs,
  }
  return Buffer.from(`${JSON.stringify(fields, null, 2)}\n`)
}

/**
 * The key in these bytes. Public key and device id are computed anew and must be what the file says.
 * The bytes are zeroed. No error quotes them: the parser's own message would.
 */
export function parseKeyFile(bytes: Buffer, path: string): StoredKey {
  try {
    return parseChecked(bytes, path)
  } finally {
    forgetLastMatch()
  }
}

const MATCHES_NOTHING = /^$/

/** The runtime keeps the text that a regular expression matched last, for all to read (`RegExp.input`). */
export function forgetLastMatch(): void {
  MATCHES_NOTHING.test('')
}

function parseChecked(bytes: Buffer, path: string): StoredKey {
  const fail = (reason: IdentityFailures['KEY_FILE_DAMAGED']['reason']): IdentityError<'KEY_FILE_DAMAGED'> =>
    damagedKey(path, reason)
  if (bytes.length === 0) throw fail('empty')
  const text = bytes.toString('utf8')
  bytes.fill(0)
  const fields = parseObject(text.startsWith('\uFEFF') ? text.slice(1) : text)
  if (fields === null) throw fail(isCutShort(text) ? 'truncated' : 'not-json')
  if (fields['format'] !== 'holdfast-key') throw fail('format-unknown')
  if (fields['version'] !== 1) throw fail('version-unknown')
  const { createdAtMs, publicKey: stated } = fields
  const seed = seedFrom(fields['secretKey'])
  if (seed === null) throw fail('secret-key-missing')
  if (typeof stated !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(stated)) throw fail('public-key-missing')
  if (!isTime(createdAtMs)) throw fail('creation-time-missing')
  const signer = importSeed(seed, stated)
  const publicKey = publicKeyFromBytes(signer.publicKey)
  if (publicKey === null || stated !== formatPublicKey(publicKey)) throw fail('keys-mismatch')
  const deviceId = deviceIdOf(publicKey)
  if (fields['deviceId'] !== deviceId) throw fail('id-mismatch')
  return { deviceId, publicKey, createdAtMs, signer }
}

/** The error for a key file that is none, with the command that goes on without it. */
export function damagedKey(
  path: string,
  reason: IdentityFailures['KEY_FILE_DAMAGED']['reason'],
): IdentityError<'KEY_FILE_DAMAGED'> {
  const folder = dirname(path)
  const name = basename(folder) === 'gateway' ? ' --name gateway' : ''
  const command = `holdfast id reset${name} --state-dir ${quoted(dirname(folder))}`
  const fix = `Restore it from a backup; or set it aside, and become another device: ${command}`
  return new IdentityError('KEY_FILE_DAMAGED', { path, reason, fix })
}

/** A 32-byte seed out of its 43 characters of unpadded base64url, or `null`. */
export function seedFrom(text: unknown): Buffer | null {
  if (typeof text !== 'string' || text.length !== 43) return null
  const seed = Buffer.from(text, 'base64url')
  return seed.toString('base64url') === text ? seed : null
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}

/** The beginning of an object of ours, and not its end: a copy or a restore that was cut off. */
function isCutShort(text: string): boolean {
  return /^\uFEFF?\s*\{/.test(text) && !/\}\s*$/.test(text)
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
