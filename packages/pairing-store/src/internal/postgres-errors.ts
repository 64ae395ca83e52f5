import { PairingStoreError, type UnreachableReason } from '../errors.ts'
import { AuditFault, type Rollback } from './audit-log.ts'
import { Disconnected, isServersWord } from './postgres-client.ts'
import { RowError } from './rows.ts'

/** The server at the address is not the one that was there, or not one that may be asked. */
export class WrongServer extends Error {
  readonly fault: Rollback | 'standby'

  constructor(fault: Rollback | 'standby') {
    super('another server')
    this.fault = fault
  }
}

/** The connection went while the commit was on its way. */
export class CommitLost extends Error {}

/** There was no connection to be had in time: all are in use. */
export class NoneFree extends Error {}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
const LOCK_NOT_AVAILABLE = '55P03'
const QUERY_CANCELED = '57014'
const SERIALIZATION_FAILURE = '40001'
const DEADLOCK_DETECTED = '40P01'
const CACHED_PLAN = '0A000'
const GOING_AWAY = ['57P01', '57P02', '57P05']

const UNREACHABLE: Readonly<Record<string, UnreachableReason>> = {
  '57P01': 'lost',
  '57P02': 'lost',
  '57P03': 'starting',
  '57P05': 'lost',
  '53300': 'connections',
  '28000': 'login',
  '28P01': 'login',
  '3D000': 'no-database',
}

/** What is underneath, where it was the audit log that noticed. */
function rootOf(error: unknown): unknown {
  return error instanceof AuditFault && error.fault === 'unwritten' ? error.cause : error
}

/** Is this connection of no use any more? */
export function isSpent(error: unknown): boolean {
  const root = rootOf(error)
  if (root instanceof Disconnected || root instanceof CommitLost || root instanceof WrongServer) return true
  return isServersWord(root) && (GOING_AWAY.includes(root.code) || isStalePlan(root))
}

/** Nothing was committed, and the same may go well on another connection. */
export function isWorthAnother(error: unknown): boolean {
  const root = rootOf(error)
  if (root instanceof Disconnected) return !isTimeout(root)
  if (!isServersWord(root)) return false
  return (
    GOING_AWAY.includes(root.code) ||
    isStalePlan(root) ||
    [SERIALIZATION_FAILURE, DEADLOCK_DETECTED].includes(root.code)
  )
}

// A newer version has added a column under a statement that was prepared before.
function isStalePlan(error: { readonly code: string; readonly message: string }): boolean {
  return error.code === CACHED_PLAN
}

function isTimeout(error: Disconnected): boolean {
  return error.cause instanceof Error && /time-?out/i.test(error.cause.message)
}

/** Did others write for as long as it was waited for them? */
export function isLockTimeout(error: unknown): boolean {
  return isServersWord(error) && error.code === LOCK_NOT_AVAILABLE
}

/** What the server said, or that it said nothing, as an error of ours; what is neither stays as it is. */
export function toStoreError(path: string, cause: unknown): unknown {
  if (cause instanceof RowError) {
    const fix = 'Put a backup in its place: what is there was not written by this package.'
    return new PairingStoreError('STORE_UNREADABLE', { path, reason: 'damaged', fix }, { cause })
  }
  if (cause instanceof AuditFault) return auditError(path, cause)
  if (cause instanceof WrongServer)
    return cause.fault === 'standby' ? unreachable(path, 'standby', cause) : rolledBack(path, cause.fault)
  if (cause instanceof CommitLost) {
    const fix = `See whether it was made: holdfast audit --limit 5 --store '${path}'`
    return new PairingStoreError('STORE_OUTCOME_UNKNOWN', { path, fix }, { cause })
  }
  if (cause instanceof NoneFree) return unreachable(path, 'connections', cause)
  if (cause instanceof Disconnected) return unreachable(path, reasonOf(cause), cause)
  return isServersWord(cause) ? serversError(path, cause) : cause
}

function serversError(path: string, cause: Error & { readonly code: string }): unknown {
  const reason = UNREACHABLE[cause.code] ?? (cause.code.startsWith('08') ? 'lost' : null)
  if (reason !== null) return unreachable(path, reason, cause)
  switch (cause.code) {
    case QUERY_CANCELED:
      return unreachable(path, 'timeout', cause)
    case '53100':
      return writeFailed(path, 'disk-full', `See how full the server's disk is.`, cause)
    case '25006':
      return writeFailed(
        path,
        'read-only',
        'Give the address of the primary: this one takes no writes.',
        cause,
      )
    case '42501':
      return writeFailed(
        path,
        'permission',
        'Let the role own the schema: alter schema holdfast owner to …',
        cause,
      )
    case '42P01':
    case '3F000':
      return rolledBack(path, { expected: 0, found: 0, reason: 'another-store' })
    case 'XX001':
    case 'XX002': {
      const fix = 'Put a backup in its place: the server cannot read its own pages.'
      return new PairingStoreError('STORE_UNREADABLE', { path, reason: 'damaged', fix }, { cause })
    }
    default:
      return cause
  }
}

function reasonOf({ cause }: Disconnected): UnreachableReason {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOENT'].includes(code))
    return 'refused'
  if (code === 'ETIMEDOUT') return 'timeout'
  return cause instanceof Error && /time-?out/i.test(cause.message) ? 'timeout' : 'lost'
}

const FIXES: Readonly<Record<UnreachableReason, (path: string) => string>> = {
  refused: path => `See whether a server listens there: pg_isready -d '${path}'`,
  lost: path => `Try again; if it happens again: pg_isready -d '${path}'`,
  timeout: () => 'See what keeps the server busy: select * from pg_stat_activity',
  starting: () => 'Try again when it has started.',
  connections: () => 'Give the pool, or the server (max_connections), more connections.',
  login: () => 'See that the role may log in, and that its password is in ~/.pgpass (0600).',
  'no-database': path => `Make the database: createdb '${path.split('/').at(-1) ?? ''}'`,
  standby: () =>
    'Give the address of the primary: a standby is behind it, and would let in whom that has revoked.',
}

export function unreachable(path: string, reason: UnreachableReason, cause: unknown): PairingStoreError {
  return new PairingStoreError('STORE_UNREACHABLE', { path, reason, fix: FIXES[reason](path) }, { cause })
}

export function busy(path: string, waitedMs: number, cause?: unknown): PairingStoreError<'STORE_BUSY'> {
  const fix = `See who keeps it locked: select * from pg_locks where locktype = 'advisory'`
  return new PairingStoreError('STORE_BUSY', { path, waitedMs, fix }, { cause })
}

function writeFailed(
  path: string,
  reason: 'disk-full' | 'read-only' | 'permission',
  fix: string,
  cause: unknown,
): PairingStoreError {
  return new PairingStoreError('STORE_WRITE_FAILED', { path, reason, fix }, { cause })
}

function rolledBack(path: string, rollback: Rollback): PairingStoreError {
  const fix =
    'Find out which server answers there. To go on with it all the same, take away the head that was kept (audit-head/head.json) and start the gateways anew.'
  return new PairingStoreError('STORE_ROLLED_BACK', { path, ...rollback, fix })
}

function auditError(path: string, { fault, cause }: AuditFault): unknown {
  if (fault !== 'unwritten') return rolledBack(path, fault)
  const translated = toStoreError(path, cause)
  if (translated !== cause) return translated
  const fix = `See what is wrong with it: holdfast audit --verify --store '${path}'`
  return new PairingStoreError('STORE_AUDIT_FAILED', { path, fix }, { cause })
}
