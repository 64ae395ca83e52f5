import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { IdentityError } from '../errors.ts'
import { errnoOf } from './errno.ts'
import { checkDirectory, type Owner, settleDirectory } from './private-file.ts'
import { quoted } from './shell-words.ts'
import { protectDirectory } from './windows-access.ts'

/**
 * The state directory's real path, made 0700 where it was missing (whatever the umask), and durable with its parents.
 * One that is there is checked and left as it is.
 */
export function prepareStateDirectory(directory: string, owner: Owner): string {
  const real = settleDirectory(directory, owner)
  if (checkDirectory(real, owner)) return real
  try {
    for (const [index, missing] of missingAbove(real).entries()) {
      // What is made in the outermost one inherits its access list.
      if (makeDirectory(missing, owner) && index === 0) protectDirectory(missing, owner)
    }
  } catch (error) {
    throw notWritable(real, owner, error)
  }
  checkDirectory(real, owner)
  return real
}

/**
 * Write a new file that only its owner can read, and have it on disk when this returns.
 *
 * @param protect called when the file is there and nothing is in it yet
 */
export function writeDurably(path: string, bytes: Uint8Array, owner: Owner, protect?: () => void): void {
  const descriptor = openSync(path, 'wx', 0o600)
  try {
    protect?.()
    const { mode } = fstatSync(descriptor)
    if (owner.uid !== null && (mode & 0o077) !== 0) {
      // A file system that knows no modes. Nothing secret has been written yet.
      const fix = 'Give a state directory on a file system that keeps file modes.'
      throw new IdentityError('KEY_FILE_EXPOSED', { path, mode: mode & 0o7777, fix })
    }
    let written = 0
    while (written < bytes.length) written += writeSync(descriptor, bytes, written)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Have a directory's entries on disk when this returns, where the platform can. */
export function syncDirectory(path: string, owner: Owner): void {
  if (owner.platform === 'win32') return // A directory cannot be fsynced there.
  try {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    // Not readable by us (a parent with x only), or a file system that does not sync directories: not ours to mend.
    if (!['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP'].includes(errnoOf(error) ?? '')) throw error
  }
}

/** The error for a place that cannot be written, with the owner of what is there. */
export function notWritable(path: string, owner: Owner, cause: unknown): unknown {
  const errno = errnoOf(cause)
  if (errno === null || cause instanceof IdentityError) return cause
  const ownerUid = owner.uid === null ? null : ownerOfNearest(path)
  const fix =
    errno === 'EROFS'
      ? `Mount it writable once, or make the key elsewhere and mount it: ${path}`
      : ownerUid !== null && ownerUid !== owner.uid
        ? `Run as its owner (sudo -u '#${ownerUid}' …), or hand it over: chown ${owner.uid} ${quoted(path)}`
        : `See who may write it, and whether it is full: ls -ld ${quoted(path)}; df ${quoted(path)}`
  return new IdentityError('STATE_NOT_WRITABLE', { path, errno, ownerUid, uid: owner.uid, fix }, { cause })
}

function ownerOfNearest(path: string): number | null {
  for (let at = path; ; at = dirname(at)) {
    try {
      return lstatSync(at).uid
    } catch (error) {
      if (at === dirname(at)) throw error
    }
  }
}

/** The directory and those above it that are not there, outermost first. */
function missingAbove(directory: string): readonly string[] {
  const missing: string[] = []
  for (let at = directory; lstatSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) {
    missing.unshift(at)
  }
  return missing
}

/** Returns whether this call made it. One at a time: a recursive `mkdir` of Node's says ENOENT where it should say what really stood in the way. */
function makeDirectory(path: string, owner: Owner): boolean {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false // Another process makes them too.
    throw error
  }
  syncDirectory(dirname(path), owner)
  return true
}
