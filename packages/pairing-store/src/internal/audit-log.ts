import { createHash } from 'node:crypto'
import type { Role } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import { sql } from 'kysely'
import type { AuditAct, AuditState } from '../audit.ts'
import type { Actor, DeviceRecord } from '../records.ts'
import type { AuditTable } from './schema.ts'
import type { Session } from './sql-driver.ts'

/** A change of trust that the transaction will have made when it is committed. */
export interface PendingEntry {
  readonly by: Pick<Actor, 'kind'> & { readonly deviceId?: DeviceId }
  readonly act: AuditAct
  readonly subject: string
  readonly deviceId?: DeviceId
  readonly role?: Role | null
  readonly from: AuditState | null
  readonly to: AuditState | null
  readonly rule?: string
  readonly digest?: string
}

/** What the log cannot do, before it is known which file it is about. */
export class AuditFault extends Error {
  readonly fault: 'unwritten' | Rollback

  constructor(fault: 'unwritten' | Rollback, options?: ErrorOptions) {
    super('the audit log', options)
    this.fault = fault
  }
}

export interface Rollback {
  readonly expected: number
  readonly found: number
  readonly reason: 'behind' | 'another-history' | 'another-store'
}

const FIELDS = [
  'sequence',
  'at_ms',
  'actor',
  'act',
  'subject',
  'device_id',
  'role',
  'from_state',
  'to_state',
  'rule',
  'digest',
  'previous',
] as const

/** What the first entry follows on. */
export function firstPrevious(storeId: string): string {
  return createHash('sha256').update('\0holdfast audit store\0').update(storeId).digest('hex')
}

/**
 * Hex SHA-256 of an entry: a domain tag, then each field as its length in bytes (4, big-endian) and its bytes. An absent
 * field is told from an empty one.
 */
export function entryHash(row: Omit<AuditTable, 'hash'>): string {
  const hash = createHash('sha256').update('\0holdfast audit entry\0')
  for (const field of FIELDS) {
    const value = row[field]
    const bytes = Buffer.from(value === null ? '0' : `1${value}`)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  return hash.digest('hex')
}

/**
 * Write the entries of a transaction, each chained to the one before. Drawing their numbers locks the store's row, as
 * drawing those of changes does.
 *
 * @throws {@link AuditFault} `unwritten`: the transaction must not be committed
 */
export async function appendAudit(
  session: Session,
  entries: readonly PendingEntry[],
  { nowMs, storeId }: { readonly nowMs: number; readonly storeId: string },
): Promise<void> {
  if (entries.length === 0) return
  try {
    const { db } = session
    const { audit_sequence: last, audit_hash } = await db
      .updateTable('store')
      .set(eb => ({ audit_sequence: eb('audit_sequence', '+', entries.length) }))
      .returning(['audit_sequence', 'audit_hash'])
      .executeTakeFirstOrThrow()
    let previous = audit_hash ?? firstPrevious(storeId)
    for (const [index, entry] of entries.entries()) {
      const sequence = last - entries.length + 1 + index
      const row = { ...rowOf(entry), sequence, at_ms: nowMs, previous }
      previous = entryHash(row)
      await db
        .insertInto('audit')
        .values({ ...row, hash: previous })
        .execute()
    }
    await db.updateTable('store').set({ audit_hash: previous }).execute()
  } catch (cause) {
    throw new AuditFault('unwritten', { cause })
  }
}

/** The same, where a change matters more than its entry: what could not be written is counted. */
export async function appendAuditIfPossible(
  session: Session,
  entries: readonly PendingEntry[],
  when: { readonly nowMs: number; readonly storeId: string },
): Promise<void> {
  await sql`savepoint audit`.execute(session.db)
  try {
    await appendAudit(session, entries, when)
  } catch (error) {
    if (!(error instanceof AuditFault)) throw error
    await sql`rollback to savepoint audit`.execute(session.db)
    await session.db
      .updateTable('store')
      .set(eb => ({ unaudited: eb('unaudited', '+', entries.length) }))
      .execute()
  }
  await sql`release savepoint audit`.execute(session.db)
}

function rowOf(entry: PendingEntry): Omit<AuditTable, 'sequence' | 'at_ms' | 'previous' | 'hash'> {
  return {
    actor: entry.by.deviceId ?? entry.by.kind,
    act: entry.act,
    subject: entry.subject,
    device_id: entry.deviceId ?? null,
    role: entry.role ?? null,
    from_state: textOf(entry.from),
    to_state: textOf(entry.to),
    rule: entry.rule ?? null,
    digest: entry.digest ?? null,
  }
}

function textOf(state: AuditState | null): string | null {
  return state === null ? null : JSON.stringify(state)
}

/** How a device stands: all of it, or one role of it. */
export function stateOf(device: DeviceRecord | null, role: Role | null = null): AuditState | null {
  if (device === null) return null
  const { trust, name, roles } = device
  const shown = roles
    .filter(each => role === null || each.role === role)
    .map(each => [
      each.role,
      { grant: each.grant, narrowedTo: each.narrowedTo, revoked: each.revokedAtMs !== null },
    ])
  return { trust, name, roles: Object.fromEntries(shown) }
}
