import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs'
import type { DelegationLoss } from '../errors.ts'
import { MAX_BUNDLE_BYTES } from './delegation-bundle.ts'
import { surroundings } from './surroundings.ts'

/** A new file that only its owner can read. @throws the system's error, and no file is left */
export function leaveFile(path: string, bytes: Buffer, ownerUid: number | undefined): void {
  const fd = openSync(path, 'wx', 0o600)
  try {
    fchmodSync(fd, 0o600)
    if (ownerUid !== undefined) fchownSync(fd, ownerUid, -1)
    writeSync(fd, bytes)
  } catch (error) {
    unlinkSync(path)
    throw error
  } finally {
    closeSync(fd)
  }
}

/**
 * The bytes of such a file, which is gone then: of two that read it, one finds none. Taken away *before* it is read, and
 * overwritten, so that what was secret in it does not outlive the reading.
 */
export function takeFile(path: string): Buffer | DelegationLoss {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDWR | (constants.O_NOFOLLOW ?? 0))
  } catch (error) {
    if (!isSystemError(error)) throw error
    return error.code === 'ENOENT' ? 'file-absent' : 'file-foreign'
  }
  try {
    const stats = fstatSync(fd)
    if (!isPrivate(stats)) return 'file-foreign'
    if (stats.size > MAX_BUNDLE_BYTES) return 'malformed'
    unlinkSync(path)
    const bytes = Buffer.alloc(stats.size)
    readSync(fd, bytes, 0, stats.size, 0)
    writeSync(fd, Buffer.alloc(stats.size), 0, stats.size, 0)
    fsyncSync(fd)
    return bytes
  } catch (error) {
    if (!isSystemError(error)) throw error
    return error.code === 'ENOENT' ? 'file-absent' : 'file-fixed'
  } finally {
    closeSync(fd)
  }
}

function isPrivate(stats: Stats): boolean {
  const { uid } = surroundings
  if (!stats.isFile()) return false
  // Modes and owners mean nothing where there are no uids; there the folder's access list is what counts.
  return uid === null || (stats.uid === uid && stats.nlink === 1 && (stats.mode & 0o077) === 0)
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error
}
