import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  type Stats,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { PairingStoreError } from '../errors.ts'
import { machineMs } from './machine-clock.ts'
import { createStoreRow, migrate } from './migrations.ts'
import { SQLITE_DIALECT, SqliteConnection } from './sqlite-connection.ts'
import { toStoreError, writeFailed } from './sqlite-errors.ts'

/** In the header of every store (https://www.sqlite.org/fileformat.html#application_id): `hold`. */
const APPLICATION_ID = 0x686f6c64
const HEADER_LENGTH = 100
const RESTORE = 'If it was there before, restore a backup: holdfast store restore FILE'
const MAGIC = 'SQLite format 3\0'

/**
 * See that there is a store at the path that is ours to open: make one where there is no file, and refuse whatever else is
 * there, by its header and before SQLite sees it. Nothing that exists is ever replaced or written.
 */
export async function prepareStoreFile(path: string, nowMs: number): Promise<void> {
  const uid = process.getuid?.() ?? null
  prepareDirectory(path, uid)
  let stats = statOrNull(path)
  if (stats === null) {
    refuseLost(path)
    await publishStore(path, nowMs, uid)
    stats = statSync(path)
  }
  if (stats.nlink > 1) clearLeftovers(path)
  if (!stats.isFile()) throw unreadable(path, 'not-a-file')
  checkOwner(path, stats, uid)
  checkHeader(path, readHeader(path))
}

// A log without its store: the store is lost, and SQLite would play the log into a new one. The store comes before its log,
// so that it is there by now where somebody else has just made it.
function refuseLost(path: string): void {
  const log = statOrNull(`${path}-wal`)
  if (log !== null && log.size > 0 && statOrNull(path) === null) throw unreadable(path, 'missing')
}

/** See that the directory of the file is there, and nobody else's to write. */
export function prepareDirectory(path: string, uid: number | null = process.getuid?.() ?? null): void {
  const directory = dirname(path)
  try {
    const first = mkdirSync(directory, { recursive: true, mode: 0o700 })
    if (first !== undefined) syncUpTo(directory, dirname(first))
    checkOwner(directory, statSync(directory), uid)
  } catch (cause) {
    if (cause instanceof PairingStoreError) throw cause
    throw diskError(path, cause) ?? notWritable(directory, null, uid, cause)
  }
}

// Whoever may write the file gives authority to whom they like; whoever may write the directory puts another file there,
// or a journal beside it that SQLite would play back.
function checkOwner(path: string, stats: Stats, uid: number | null): void {
  if (uid === null) return
  if (stats.uid !== uid) throw notWritable(path, stats.uid, uid)
  const loose = stats.isDirectory() ? 0o022 : 0o077
  if ((stats.mode & loose) === 0) return
  const fix = `Close it: chmod ${stats.isDirectory() ? '700' : '600'} '${path}'`
  throw new PairingStoreError('STORE_EXPOSED', { path, mode: stats.mode & 0o7777, fix })
}

/** Is the file this user's, and nobody else's to read or write? One that is not there is. */
export function checkOwnFile(path: string): void {
  const stats = statOrNull(path)
  if (stats?.isFile()) checkOwner(path, stats, process.getuid?.() ?? null)
}

/** Is there a store of ours at the path, by its header? Whose file it is and who else may read it is not looked at. */
export function checkStoreFile(path: string): void {
  const stats = statOrNull(path)
  if (stats === null) throw unreadable(path, 'missing')
  if (!stats.isFile()) throw unreadable(path, 'not-a-file')
  checkHeader(path, readHeader(path))
}

function checkHeader(path: string, header: Buffer): void {
  if (header.length < HEADER_LENGTH || header.toString('latin1', 0, 16) !== MAGIC) {
    const reason = header.length === 0 ? 'empty' : 'format'
    const fix = `Look at what it is, and set it aside: mv '${path}' '${path}.aside'`
    throw new PairingStoreError('STORE_NOT_A_DATABASE', { path, reason, fix })
  }
  if (header.readUInt32BE(68) === APPLICATION_ID) return
  const fix = 'Give the store a file of its own.'
  throw new PairingStoreError('STORE_FOREIGN', { path, fix })
}

function readHeader(path: string): Buffer {
  try {
    const file = openSync(path, 'r')
    try {
      const header = Buffer.alloc(HEADER_LENGTH)
      return header.subarray(0, readSync(file, header, 0, HEADER_LENGTH, 0))
    } finally {
      closeSync(file)
    }
  } catch (cause) {
    throw unreadable(path, isErrno(cause, 'EACCES', 'EPERM') ? 'permission' : 'io', cause)
  }
}

/**
 * A new store is made whole in a private directory and then linked to its name, which fails where there is a file by now:
 * of any number of processes one has made it, and nobody ever sees half a store. So an empty file was never ours.
 */
async function publishStore(path: string, nowMs: number, uid: number | null): Promise<void> {
  const make = async (fresh: string) => {
    await writeStore(fresh, nowMs)
    linkOrCopy(fresh, path)
    syncDirectory(dirname(path))
  }
  await inPrivatePlace(path, 'making', make, uid)
}

/** Work on a file in a directory of one's own beside `path`, which goes away afterwards: nobody sees it half made. */
export async function inPrivatePlace<Result>(
  path: string,
  doing: keyof typeof LEFT_AFTER_MS,
  work: (file: string) => Promise<Result>,
  uid: number | null = process.getuid?.() ?? null,
): Promise<Result> {
  const directory = dirname(path)
  let made: string
  try {
    clearLeftovers(path)
    made = mkdtempSync(join(directory, placeName(path, doing)))
  } catch (cause) {
    throw diskError(path, cause) ?? notWritable(directory, statOrNull(directory)?.uid ?? null, uid, cause)
  }
  try {
    return await work(join(made, 'store'))
  } catch (cause) {
    throw diskError(path, cause) ?? toStoreError(path, cause, 'writing')
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

async function writeStore(path: string, nowMs: number): Promise<void> {
  closeSync(openSync(path, 'wx', 0o600))
  const connection = new SqliteConnection(path, { readOnly: false })
  try {
    connection.run(
      `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL`,
    )
    connection.run('BEGIN IMMEDIATE')
    await migrate(connection.db, 0, SQLITE_DIALECT)
    await createStoreRow(connection.db, { storeId: randomUUID(), nowMs })
    connection.run('COMMIT')
  } finally {
    connection.close()
  }
}

/** Give a whole file its name, unless that is taken. @returns whether it was free */
export function linkOrCopy(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK')) throw error
    return copyExclusively(from, to)
  }
}

// File systems without links: still nobody's file is replaced, but a crash in here leaves a file that is refused.
function copyExclusively(from: string, to: string): boolean {
  try {
    copyFileSync(from, to, constants.COPYFILE_EXCL)
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    throw error
  }
  chmodSync(to, 0o600)
  syncFile(to)
  return true
}

/** When what was begun in a private place is taken for given up: more than a creation takes, or a copy of any size. */
const LEFT_AFTER_MS = { making: 60_000, copying: 24 * 60 * 60_000 } as const

function placeName(path: string, doing: keyof typeof LEFT_AFTER_MS): string {
  return `.${basename(path)}.${doing}-`
}

/** What somebody who was killed has left behind. */
function clearLeftovers(path: string): void {
  const directory = dirname(path)
  const names = readdirSync(directory)
  for (const doing of ['making', 'copying'] as const) {
    const longAgoMs = machineMs() - LEFT_AFTER_MS[doing]
    for (const left of names.filter(name => name.startsWith(placeName(path, doing)))) {
      const place = join(directory, left)
      if ((statOrNull(place)?.mtimeMs ?? longAgoMs) >= longAgoMs) continue
      rmSync(place, { recursive: true, force: true })
    }
  }
}

function syncUpTo(directory: string, top: string): void {
  for (let each = directory; ; each = dirname(each)) {
    syncDirectory(each)
    if (each === top || each === dirname(each)) return
  }
}

/** What was written to a file is on disk when this returns. */
export function syncFile(path: string): void {
  const file = openSync(path, 'r+')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

export function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return
  const handle = openSync(directory, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

export function statOrNull(path: string): Stats | null {
  try {
    return statSync(path)
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return null
    throw unreadable(path, isErrno(cause, 'EACCES', 'EPERM') ? 'permission' : 'io', cause)
  }
}

function isErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}

/** Of the system's errors, those that are the disk's: whose file it is does not help there. */
function diskError(path: string, cause: unknown): PairingStoreError | null {
  if (isErrno(cause, 'ENOSPC', 'EDQUOT')) return writeFailed(path, 'disk-full', cause)
  if (isErrno(cause, 'EROFS')) return writeFailed(path, 'read-only', cause)
  return isErrno(cause, 'EIO') ? writeFailed(path, 'io', cause) : null
}

function unreadable(
  path: string,
  reason: 'permission' | 'not-a-file' | 'io' | 'missing',
  cause?: unknown,
): PairingStoreError {
  const fix = reason === 'missing' ? RESTORE : `Look at what is there: ls -la '${path}'`
  return new PairingStoreError('STORE_UNREADABLE', { path, reason, fix }, { cause })
}

function notWritable(
  path: string,
  ownerUid: number | null,
  uid: number | null,
  cause?: unknown,
): PairingStoreError {
  const fix =
    ownerUid !== null && ownerUid !== uid
      ? `Run it as the owner: sudo -u '#${ownerUid}' …`
      : `Look at its permissions: ls -lad '${path}'`
  return new PairingStoreError('STORE_NOT_WRITABLE', { path, ownerUid, uid, fix }, { cause })
}
