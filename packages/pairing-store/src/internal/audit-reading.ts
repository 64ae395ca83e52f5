import type { Role } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { AuditAct, AuditEntry, AuditFlaw, AuditHead, AuditQuery, AuditVerdict } from '../audit.ts'
import type { Page } from '../pairing-store.ts'
import { AuditFault, entryHash, firstPrevious, type Rollback } from './audit-log.ts'
import { limitOf, pageOf } from './pages.ts'
import type { Queries } from './queries.ts'
import { RowError } from './rows.ts'
import type { AuditTable, StoreTable } from './schema.ts'
import type { Session } from './sql-driver.ts'

/** Where the log is read. */
export interface Reading {
  readonly session: Pick<Session, 'all'>
  readonly queries: Queries
}

/** How many entries are read at a time: a log of any length is gone through in little memory. */
const BATCH = 1_000

function toEntry(row: AuditTable): AuditEntry {
  return {
    sequence: row.sequence,
    atMs: row.at_ms,
    by: row.actor as AuditEntry['by'],
    act: row.act as AuditAct,
    subject: row.subject,
    deviceId: row.device_id as DeviceId | null,
    role: row.role as Role | null,
    from: stateFromText(row.from_state),
    to: stateFromText(row.to_state),
    rule: row.rule,
    digest: row.digest,
    hash: row.hash,
  }
}

function stateFromText(text: string | null): AuditEntry['from'] {
  if (text === null) return null
  try {
    return JSON.parse(text) as AuditEntry['from']
  } catch (cause) {
    throw new RowError('audit state', { cause })
  }
}

/** One page of the log. Its cursor is the number of its last entry. */
export async function readAuditPage(
  { session, queries }: Reading,
  query: AuditQuery,
): Promise<Page<AuditEntry>> {
  const limit = limitOf(query)
  const { order = 'oldest' } = query
  const newest = order === 'newest'
  const after = afterOf(query.after) ?? (newest ? Number.MAX_SAFE_INTEGER : 0)
  const rows = await session.all(newest ? queries.auditNewest : queries.auditOldest, {
    after,
    deviceId: query.deviceId ?? '',
    actor: query.by ?? '',
    act: query.act ?? '',
    sinceMs: query.sinceMs ?? 0,
    untilMs: query.untilMs ?? Number.MAX_SAFE_INTEGER,
    limit: limit + 1,
  })
  return pageOf(rows.map(toEntry), limit, entry => String(entry.sequence))
}

function afterOf(cursor: string | undefined): number | null {
  if (cursor === undefined) return null
  if (!/^\d{1,15}$/.test(cursor)) throw new TypeError('after: a cursor that a page gave')
  return Number(cursor)
}

export function headOf(store: StoreTable): AuditHead {
  return {
    storeId: store.store_id,
    sequence: store.audit_sequence,
    hash: store.audit_hash ?? firstPrevious(store.store_id),
  }
}

/** Goes through the whole log, and stops at the first entry that is not what it must be. */
export async function verifyLog(
  reading: Reading,
  store: StoreTable,
  expected: AuditHead | null,
): Promise<AuditVerdict> {
  if (expected !== null && expected.storeId !== store.store_id) return broken(0, 'head-differs')
  const known = headOf(store)
  let previous = firstPrevious(store.store_id)
  let at = 0
  for (;;) {
    const rows = await entriesAfter(reading, at)
    for (const row of rows) {
      // Written since the store's row was read: it is of the next verification.
      if (row.sequence > known.sequence) break
      if (row.sequence !== at + 1) return broken(at + 1, 'missing')
      if (entryHash(row) !== row.hash) return broken(row.sequence, 'altered')
      if (row.previous !== previous) return broken(row.sequence, 'unchained')
      previous = row.hash
      at = row.sequence
      if (at === expected?.sequence && previous !== expected.hash) return broken(at, 'head-differs')
    }
    if (rows.length < BATCH || at >= known.sequence) break
  }
  if (at < known.sequence || at < (expected?.sequence ?? 0)) return broken(at + 1, 'truncated')
  if (previous !== known.hash) return broken(at, 'head-differs')
  if (expected?.sequence === 0 && expected.hash !== firstPrevious(store.store_id))
    return broken(0, 'head-differs')
  return { outcome: 'intact', head: known, unaudited: store.unaudited }
}

function broken(sequence: number, flaw: AuditFlaw): AuditVerdict {
  return { outcome: 'broken', sequence, flaw }
}

function entriesAfter({ session, queries }: Reading, after: number): Promise<readonly AuditTable[]> {
  return session.all(queries.auditRows, { after, limit: BATCH })
}

/** @throws {@link AuditFault} with a rollback, where the log does not go on from this head */
export async function requireHead(reading: Reading, store: StoreTable, expected: AuditHead): Promise<void> {
  const known = headOf(store)
  const fail = (reason: Rollback['reason']) =>
    new AuditFault({ expected: expected.sequence, found: known.sequence, reason })
  if (expected.storeId !== known.storeId) throw fail('another-store')
  if (expected.sequence > known.sequence) throw fail('behind')
  if (expected.sequence === known.sequence) {
    if (expected.hash !== known.hash) throw fail('another-history')
    return
  }
  const [row] = await reading.session.all(reading.queries.auditRows, {
    after: expected.sequence - 1,
    limit: 1,
  })
  const hash = expected.sequence === 0 ? firstPrevious(store.store_id) : row?.hash
  if (hash !== expected.hash) throw fail('another-history')
}
