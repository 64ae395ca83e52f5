import { createPrivateKey, createPublicKey } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { type DeviceId, deviceIdOf, parsePublicKey } from '@holdfast/identity'
import { OpenClawError, type OpenClawFailures } from '../errors.ts'
import type { Surroundings } from './surroundings.ts'

/** A key of OpenClaw's, checked against itself. The seed is secret: zero it when it is written. */
export interface ForeignKey {
  readonly deviceId: DeviceId
  readonly publicKey: string
  readonly seed: Buffer
  /** `null` where the file does not say. */
  readonly createdAtMs: number | null
}

const MOST_BYTES = 64 * 1024

/**
 * The key in a `device.json`, or `null` where there is no such file. The id is computed from the key; one that the file
 * states wrongly counts for nothing, as with OpenClaw itself. The file is only read.
 *
 * @throws {@link OpenClawError} `OPENCLAW_KEY_DAMAGED`, `OPENCLAW_KEY_EXPOSED`, `OPENCLAW_KEY_FOREIGN`, `OPENCLAW_KEY_UNREADABLE`
 */
export function readDeviceJson(path: string, surroundings: Surroundings): ForeignKey | null {
  const text = readOwnText(path, surroundings)
  if (text === null) return null
  const fields = parseObject(text.startsWith('\uFEFF') ? text.slice(1) : text)
  if (fields === null) throw damaged(path, 'not-json')
  if (fields['version'] !== 1) throw damaged(path, 'version-unknown')
  return keyOf(path, fields['privateKeyPem'], fields['publicKeyPem'], fields['createdAtMs'])
}

/** The key in two PEM texts. Quotes neither where it refuses them. */
export function keyOf(
  path: string,
  privatePem: unknown,
  publicPem: unknown,
  createdAtMs: unknown,
): ForeignKey {
  const jwk = importPair(path, privatePem, publicPem)
  const publicKey = parsePublicKey(jwk.x)
  if (publicKey === null) throw damaged(path, 'not-ed25519')
  return {
    deviceId: deviceIdOf(publicKey),
    publicKey: jwk.x,
    seed: Buffer.from(jwk.d, 'base64url'),
    createdAtMs: Number.isSafeInteger(createdAtMs) && Number(createdAtMs) >= 0 ? Number(createdAtMs) : null,
  }
}

function importPair(path: string, privatePem: unknown, publicPem: unknown): { x: string; d: string } {
  if (typeof privatePem !== 'string' || typeof publicPem !== 'string') throw damaged(path, 'not-ed25519')
  try {
    const { kty, crv, x, d } = createPrivateKey(privatePem).export({ format: 'jwk' })
    if (kty !== 'OKP' || crv !== 'Ed25519' || x === undefined || d === undefined)
      throw damaged(path, 'not-ed25519')
    if (createPublicKey(publicPem).export({ format: 'jwk' }).x !== x) throw damaged(path, 'key-mismatch')
    return { x, d }
  } catch (error) {
    if (error instanceof OpenClawError) throw error
    // The parser's own error is not passed on: it may quote the text.
    throw damaged(path, 'not-ed25519')
  }
}

function readOwnText(path: string, surroundings: Surroundings): string | null {
  let descriptor: number
  try {
    // No link, and no waiting for the other end of a pipe. Windows knows neither flag.
    const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants
    descriptor = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT') return null
    if (errno === 'ELOOP') throw foreign(path, 'not-a-file')
    throw new OpenClawError(
      'OPENCLAW_KEY_UNREADABLE',
      { path, errno, fix: `Give this user access to it: ${path}` },
      { cause: error },
    )
  }
  try {
    checkOwn(path, descriptor, surroundings)
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}

function checkOwn(path: string, descriptor: number, { platform, uid }: Surroundings): void {
  const facts = fstatSync(descriptor)
  const { mode, uid: owner, size } = facts
  if (!facts.isFile()) throw foreign(path, 'not-a-file')
  if (size > MOST_BYTES) throw damaged(path, 'not-json')
  // On Windows modes mean nothing.
  if (platform === 'win32') return
  if (uid !== null && owner !== uid) throw foreign(path, 'owner')
  if ((mode & 0o077) !== 0) {
    const fix = `If nobody else can have read it, close it: chmod 600 '${path}'`
    throw new OpenClawError('OPENCLAW_KEY_EXPOSED', { path, mode: mode & 0o777, fix })
  }
}

/** The system's name for what went wrong, or its lack of one. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN'
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function foreign(path: string, reason: 'owner' | 'not-a-file'): OpenClawError {
  const fix = 'Run this as the user whose OpenClaw it is.'
  return new OpenClawError('OPENCLAW_KEY_FOREIGN', { path, reason, fix })
}

function damaged(path: string, reason: OpenClawFailures['OPENCLAW_KEY_DAMAGED']['reason']): OpenClawError {
  const fix = `Restore it from a backup: ${path}`
  return new OpenClawError('OPENCLAW_KEY_DAMAGED', { path, reason, fix })
}
