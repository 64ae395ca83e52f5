import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { type DeviceId, identityFrom, isIdentityError } from '@holdfast/identity'
import { OpenClawError } from '../errors.ts'
import type { Surroundings } from './surroundings.ts'

/** A key of OpenClaw's, checked against itself. */
export interface ForeignKey {
  readonly deviceId: DeviceId
  /** When it was made, as its file says; `null` where that says nothing. Epoch ms. */
  readonly createdAtMs: number | null
  /** The text of a `device.json` with this key. It is secret. */
  readonly deviceJson: string
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
  return text === null ? null : checkedKey(path, text)
}

/** The key in the text of a `device.json` that came from this path. @throws {@link OpenClawError} `OPENCLAW_KEY_DAMAGED` */
export function checkedKey(path: string, deviceJson: string): ForeignKey {
  try {
    const deviceId = identityFrom({ deviceJson }).id
    return { deviceId, createdAtMs: createdAtMsOf(deviceJson), deviceJson }
  } catch (error) {
    if (!isIdentityError(error, 'KEY_SOURCE_UNSUPPORTED')) throw error
    const detail = { path, reason: error.detail.reason, fix: `Restore it from a backup: ${path}` }
    throw new OpenClawError('OPENCLAW_KEY_DAMAGED', detail, { cause: error })
  }
}

/** Of a text that is known to be a key's. */
function createdAtMsOf(deviceJson: string): number | null {
  const { createdAtMs } = JSON.parse(deviceJson.replace(/^\uFEFF/, '')) as { readonly createdAtMs?: unknown }
  return typeof createdAtMs === 'number' ? createdAtMs : null
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
  if (size > MOST_BYTES) throw foreign(path, 'not-a-file')
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

function foreign(path: string, reason: 'owner' | 'not-a-file'): OpenClawError {
  const fix = 'Run this as the user whose OpenClaw it is.'
  return new OpenClawError('OPENCLAW_KEY_FOREIGN', { path, reason, fix })
}
