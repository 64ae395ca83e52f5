import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs'
import { dirname, join, parse, resolve, sep } from 'node:path'
import { IdentityError } from '../errors.ts'
import { errnoOf } from './errno.ts'
import { patiently } from './held-open.ts'
import { quoted } from './shell-words.ts'

/** Whose files these are, and whether modes and owners mean anything here. */
export interface Owner {
  readonly platform: NodeJS.Platform
  /** Null where the platform has no uids: owners and modes are then not looked at, since they say nothing. */
  readonly uid: number | null
  /** The primary group, which on many systems holds nobody else; null where the platform has none. */
  readonly gid: number | null
}

/** Larger than any file of ours by far: what is longer was not written by us. */
const LARGEST_FILE = 64 * 1024
const MOST_LINKS = 40

/**
 * The whole of a private file, or `null` where there is none (`ENOENT`, and nothing else).
 *
 * No lock and no write. The state directory, the file's directory and the file may not be links; links above the state
 * directory are followed once, and must be ours or root's. On the open descriptor: a regular file, one name, our uid,
 * and none of the mode bits in `forbiddenMode`.
 *
 * @param folder the file's directory inside the state directory, or null where it lies in the state directory itself
 */
export function readOwned(
  stateDirectory: string,
  folder: string | null,
  file: string,
  forbiddenMode: number,
  owner: Owner,
): Buffer | null {
  const real = settleDirectory(stateDirectory, owner)
  if (!checkDirectory(real, owner)) return null
  const holder = folder === null ? real : join(real, folder)
  if (folder !== null && !checkDirectory(holder, owner)) return null
  return readFileChecked(join(holder, file), forbiddenMode, owner)
}

/**
 * The directory's path with every link *above* it followed once, each link checked to be ours or root's.
 * Works on a path that does not exist yet; the last part itself is not followed.
 */
export function settleDirectory(directory: string, owner: Owner): string {
  let { root } = parse(directory)
  let parts = directory.slice(root.length).split(sep).filter(Boolean)
  let settled = root
  let links = 0
  while (parts.length > 1) {
    const next = join(settled, parts[0] ?? '')
    const found = look(next, owner)
    if (found === null) break
    if (found.isSymbolicLink()) {
      checkOwner(next, found, owner)
      if (++links > MOST_LINKS) throw unreadable(next, 'ELOOP')
      const target = resolve(settled, readlinkSync(next))
      root = parse(target).root
      parts = [...target.slice(root.length).split(sep).filter(Boolean), ...parts.slice(1)]
      settled = root
      continue
    }
    checkAncestor(next, found, owner)
    settled = next
    parts = parts.slice(1)
  }
  return join(settled, ...parts)
}

/** Whether the directory is there; throws where it is anything but a directory of ours that only we can write. */
export function checkDirectory(path: string, owner: Owner): boolean {
  const found = look(path, owner)
  if (found === null) return false
  if (found.isSymbolicLink())
    throw linked(path, 'symbolic-link', `Name the directory that it leads to: readlink -f ${quoted(path)}`)
  if (!found.isDirectory()) throw damaged(path)
  checkOwner(path, found, owner)
  if (owner.uid !== null && (found.mode & 0o022) !== 0) throw exposed(path, found.mode, 'go-w')
  return true
}

function readFileChecked(path: string, forbiddenMode: number, owner: Owner): Buffer | null {
  const descriptor = openUnfollowed(path, owner)
  if (descriptor === null) return null
  try {
    const found = fstatSync(descriptor)
    if (!found.isFile()) throw damaged(path)
    if (found.nlink > 1)
      throw linked(path, 'hard-link', `Find its other name: find / -samefile ${quoted(path)}`)
    if (owner.uid !== null && found.uid !== owner.uid) throw foreign(path, found.uid, owner.uid)
    if (owner.uid !== null && (found.mode & forbiddenMode) !== 0) throw exposed(path, found.mode, 'go=')
    return readWhole(descriptor, path, found.size)
  } finally {
    closeSync(descriptor)
  }
}

function openUnfollowed(path: string, owner: Owner): number | null {
  // Windows has neither flag: there the link is looked for by name.
  const unfollowed = constants.O_NOFOLLOW as number | undefined
  if (unfollowed === undefined && look(path, owner)?.isSymbolicLink()) throw linkedFile(path)
  // Non-blocking: a named pipe in the place of the file must not hang whoever opens it.
  const unblocked = (constants.O_NONBLOCK as number | undefined) ?? 0
  try {
    return patiently(() => openSync(path, constants.O_RDONLY | (unfollowed ?? 0) | unblocked), owner.platform)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT') return null
    if (errno === 'ELOOP' || errno === 'EMLINK') throw linkedFile(path)
    throw unreadable(path, errno ?? 'unknown', error)
  }
}

function readWhole(descriptor: number, path: string, size: number): Buffer {
  if (size > LARGEST_FILE) {
    throw new IdentityError('KEY_FILE_DAMAGED', {
      path,
      reason: 'too-large',
      fix: `Look at it: ls -l ${quoted(path)}`,
    })
  }
  const bytes = Buffer.alloc(size)
  let length = 0
  try {
    while (length < size) {
      const count = readSync(descriptor, bytes, length, size - length, null)
      if (count === 0) break
      length += count
    }
  } catch (error) {
    throw unreadable(path, errnoOf(error) ?? 'unknown', error)
  }
  return bytes.subarray(0, length)
}

/** A directory above ours: whoever can write it can put another in the place of ours, unless the sticky bit says no. */
function checkAncestor(path: string, found: Stats, owner: Owner): void {
  if (owner.uid === null || (found.mode & 0o1000) !== 0) return
  // Systems with a group for each user make home directories that this group may write.
  const forbidden = found.gid === owner.gid ? 0o002 : 0o022
  if ((found.mode & forbidden) !== 0) throw exposed(path, found.mode, 'go-w')
}

function checkOwner(path: string, found: Stats, owner: Owner): void {
  if (owner.uid !== null && found.uid !== owner.uid && found.uid !== 0)
    throw foreign(path, found.uid, owner.uid)
}

function look(path: string, owner: Owner): Stats | null {
  try {
    return patiently(() => lstatSync(path), owner.platform)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT') return null
    throw unreadable(path, errno ?? 'unknown', error)
  }
}

function exposed(path: string, mode: number, change: string): IdentityError<'KEY_FILE_EXPOSED'> {
  const fix = `Close it, and consider the key known: chmod ${change} ${quoted(path)}`
  return new IdentityError('KEY_FILE_EXPOSED', { path, mode: mode & 0o7777, fix })
}

function foreign(path: string, ownerUid: number, uid: number): IdentityError<'KEY_FILE_FOREIGN'> {
  const fix = `Run as its owner: sudo -u '#${ownerUid}' …`
  return new IdentityError('KEY_FILE_FOREIGN', { path, ownerUid, uid, fix })
}

function linkedFile(path: string): IdentityError<'KEY_FILE_LINKED'> {
  return linked(path, 'symbolic-link', `See where it leads: ls -l ${quoted(dirname(path))}`)
}

function linked(
  path: string,
  kind: 'symbolic-link' | 'hard-link',
  fix: string,
): IdentityError<'KEY_FILE_LINKED'> {
  return new IdentityError('KEY_FILE_LINKED', { path, kind, fix })
}

function damaged(path: string): IdentityError<'KEY_FILE_DAMAGED'> {
  return new IdentityError('KEY_FILE_DAMAGED', {
    path,
    reason: 'not-a-file',
    fix: `Look at it: ls -ld ${quoted(path)}`,
  })
}

function unreadable(path: string, errno: string, cause?: unknown): IdentityError<'KEY_FILE_UNREADABLE'> {
  const fix = `See who may read it: ls -ld ${quoted(path)}`
  return new IdentityError('KEY_FILE_UNREADABLE', { path, errno, fix }, { cause })
}
