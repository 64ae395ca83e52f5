import { PairingStoreError } from '../errors.ts'
import { AuditFault, type Rollback } from './audit-log.ts'
import { RowError } from './rows.ts'

// https://www.sqlite.org/rescode.html: the low byte of an extended code is the primary one.
const SQLITE_PERM = 3
const SQLITE_BUSY = 5
const SQLITE_LOCKED = 6
const SQLITE_READONLY = 8
const SQLITE_IOERR = 10
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14
const SQLITE_NOTADB = 26

function primaryCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null
  return error.errcode & 0xff
}

/** Is somebody else in the way, who will be gone soon? */
export function isBusy(error: unknown): boolean {
  const code = primaryCode(error)
  return code === SQLITE_BUSY || code === SQLITE_LOCKED
}

/** What SQLite said, as an error of ours; what is not SQLite's stays as it is. */
export function toStoreError(path: string, cause: unknown, doing: 'reading' | 'writing'): unknown {
  if (cause instanceof RowError) return unreadable(path, 'damaged', cause)
  if (cause instanceof AuditFault) return auditError(path, cause)
  switch (primaryCode(cause)) {
    case SQLITE_NOTADB: {
      const fix = `Look at what it is, and set it aside: mv '${path}' '${path}.aside'`
      return new PairingStoreError('STORE_NOT_A_DATABASE', { path, reason: 'format', fix }, { cause })
    }
    case SQLITE_CORRUPT:
      return unreadable(path, 'damaged', cause)
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return unreadable(path, 'permission', cause)
    case SQLITE_IOERR:
      return doing === 'reading' ? unreadable(path, 'io', cause) : writeFailed(path, 'io', cause)
    case SQLITE_FULL:
      return writeFailed(path, 'disk-full', cause)
    case SQLITE_READONLY:
      return writeFailed(path, 'read-only', cause)
    default:
      return cause
  }
}

function auditError(path: string, { fault, cause }: AuditFault): unknown {
  if (fault !== 'unwritten') return rolledBack(path, fault)
  // A disk that is full, or somebody in the way, says more than that it was the log that noticed.
  if (isBusy(cause) || toStoreError(path, cause, 'writing') !== cause)
    return toStoreError(path, cause, 'writing')
  const fix = `See what is wrong with it: holdfast audit --verify --store '${path}'`
  return new PairingStoreError('STORE_AUDIT_FAILED', { path, fix }, { cause })
}

function rolledBack(path: string, rollback: Rollback): PairingStoreError {
  const fix =
    'Find out who put it there. To go on with it all the same, take away the head that was kept (audit-head/head.json).'
  return new PairingStoreError('STORE_ROLLED_BACK', { path, ...rollback, fix })
}

export function busy(path: string, waitedMs: number, cause: unknown): PairingStoreError<'STORE_BUSY'> {
  const fix = `See who keeps it locked: fuser '${path}'`
  return new PairingStoreError('STORE_BUSY', { path, waitedMs, fix }, { cause })
}

function unreadable(
  path: string,
  reason: 'permission' | 'damaged' | 'io',
  cause: unknown,
): PairingStoreError {
  const fix =
    reason === 'damaged'
      ? `See what is wrong, and restore a backup: holdfast store verify --store '${path}'`
      : `Look at its permissions: ls -la '${path}'*`
  return new PairingStoreError('STORE_UNREADABLE', { path, reason, fix }, { cause })
}

export function writeFailed(
  path: string,
  reason: 'disk-full' | 'read-only' | 'io',
  cause: unknown,
): PairingStoreError {
  const fix = `Look at the disk that holds it: df '${path}'`
  return new PairingStoreError('STORE_WRITE_FAILED', { path, reason, fix }, { cause })
}
