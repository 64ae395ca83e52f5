import type { Role } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { AuditAct } from '../audit.ts'
import type { SinceUnknown } from '../errors.ts'
import type { DeviceRecord } from '../records.ts'
import { dropTokens } from '../tokens.ts'
import { stateOf } from './audit-log.ts'
import { headOf, requireHead } from './audit-reading.ts'
import type { DeviceRoleTable, DeviceTable } from './schema.ts'
import type { SqliteConnection } from './sqlite-connection.ts'
import { readDevice, type Transaction } from './transaction.ts'

/** A copy that is whole and of the schema of this version. */
export interface CopyToMerge {
  readonly copy: SqliteConnection
  readonly withoutSecrets: boolean
}

export interface MergeCounts {
  readonly restored: number
  readonly kept: number
  readonly removed: number
}

const BATCH = 500
const BY = { kind: 'store-writer' } as const
/** Acts that take nothing from a device. Any other one does, those of later versions included. */
const GIVING = [
  'device-registered',
  'device-approved',
  'device-renamed',
  'device-restored',
  'request-approved',
  'request-rejected',
  'join-code-spent',
  'token-issued',
  'token-rotated',
  'token-promised',
  'token-promoted',
  // Tokens are never taken from a copy.
  'token-revoked',
] as const satisfies readonly AuditAct[]

/**
 * Does the store not say what was revoked since the copy was made? It does where the copy's log is the beginning of its own
 * and every change since has its entry.
 *
 * @throws {@link AuditFault} where its log does not go on from the end of the copy's
 */
export async function findUnmergeable(tx: Transaction, source: CopyToMerge): Promise<SinceUnknown | null> {
  const copied = await storeOf(source.copy)
  if (copied.store_id !== tx.store.store_id) return 'another-store'
  const through = await copiedThrough(source)
  if (through > tx.store.audit_sequence) return 'behind'
  // The log of a copy without secrets is chained anew: its end is no entry of any other.
  if (!source.withoutSecrets) await requireHead(tx, tx.store, headOf(copied))
  return tx.store.unaudited > copied.unaudited ? 'unaudited' : null
}

/** Give the devices and grants of the copy back, but for what was taken from anybody since. */
export async function mergeCopy(tx: Transaction, source: CopyToMerge): Promise<MergeCounts> {
  const through = await copiedThrough(source)
  const touched = await touchedSince(tx, through)
  const counts = { restored: 0, kept: 0, removed: 0 }
  for (let after = ''; ; ) {
    const devices = await pageOfDevices(source.copy, after)
    for (const device of devices) {
      after = device.device_id
      const roles = await rolesOf(source.copy, after)
      const done = await mergeDevice(tx, { device, roles }, touched.has(after))
      counts.restored += done.changed ? 1 : 0
      counts.kept += done.kept ? 1 : 0
    }
    if (devices.length < BATCH) break
  }
  counts.removed = await removeNewcomers(tx, source.copy, touched)
  const codes = await tx.session.db.deleteFrom('join_code').returning('code_id').execute()
  tx.audit({
    by: BY,
    act: 'store-restored',
    subject: 'store',
    from: { sequence: tx.store.audit_sequence },
    to: { copiedThrough: through, ...counts, codesWithdrawn: codes.length },
  })
  return counts
}

interface CopiedDevice {
  readonly device: DeviceTable
  readonly roles: readonly DeviceRoleTable[]
}

async function mergeDevice(
  tx: Transaction,
  copied: CopiedDevice,
  touched: boolean,
): Promise<{ readonly changed: boolean; readonly kept: boolean }> {
  const { db } = tx.session
  const deviceId = copied.device.device_id as DeviceId
  const before = await readDevice(tx, deviceId)
  const kept = before !== null && (touched || hasTombstone(before))
  if (before === null) {
    await db.insertInto('device').values(copied.device).execute()
    if (copied.roles.length > 0)
      await db
        .insertInto('device_role')
        .values([...copied.roles])
        .execute()
  } else if (!kept) {
    await giveBack(tx, before, copied)
  }
  if (before !== null) await addTombstones(tx, before, copied)
  const after = await readDevice(tx, deviceId)
  const [from, to] = [stateOf(before), stateOf(after)]
  const changed = JSON.stringify(from) !== JSON.stringify(to)
  if (changed) noteRestored(tx, deviceId, { from, to })
  return { changed, kept }
}

function hasTombstone({ trust, roles }: DeviceRecord): boolean {
  return trust === 'revoked' || roles.some(({ revokedAtMs }) => revokedAtMs !== null)
}

/** Its name and its roles as they were: what it was given since is gone, and its tokens for such a role. */
async function giveBack(
  tx: Transaction,
  { deviceId, roles }: DeviceRecord,
  copied: CopiedDevice,
): Promise<void> {
  const { db } = tx.session
  await db.updateTable('device').set({ name: copied.device.name }).where('device_id', '=', deviceId).execute()
  for (const { role } of roles) {
    if (!copied.roles.some(each => each.role === role)) await dropTokens(tx, deviceId, role)
  }
  await db.deleteFrom('device_role').where('device_id', '=', deviceId).execute()
  if (copied.roles.length > 0)
    await db
      .insertInto('device_role')
      .values([...copied.roles])
      .execute()
}

/** Who was shut out when the copy was made is shut out. */
async function addTombstones(tx: Transaction, before: DeviceRecord, copied: CopiedDevice): Promise<void> {
  const { db } = tx.session
  const { deviceId } = before
  const { revoked_at_ms, revoked_by } = copied.device
  if (revoked_at_ms !== null && before.revokedAtMs === null) {
    await db
      .updateTable('device')
      .set({ revoked_at_ms, revoked_by })
      .where('device_id', '=', deviceId)
      .execute()
    await dropTokens(tx, deviceId, null)
  }
  for (const role of copied.roles.filter(each => each.revoked_at_ms !== null)) {
    const { revoked_at_ms, revoked_by } = role
    const tombstone = { revoked_at_ms, revoked_by, grant_scopes: null }
    await db
      .insertInto('device_role')
      .values({ ...role, ...tombstone })
      .onConflict(conflict => conflict.columns(['device_id', 'role']).doUpdateSet(tombstone))
      .execute()
    await dropTokens(tx, deviceId, role.role as Role)
  }
}

/** Whoever came after the copy was made is unknown again, but for those from whom something was taken. */
async function removeNewcomers(
  tx: Transaction,
  copy: SqliteConnection,
  touched: ReadonlySet<string>,
): Promise<number> {
  const { db } = tx.session
  let removed = 0
  for (let after = ''; ; ) {
    const page = await pageOfDevices({ db }, after)
    for (const { device_id } of page) {
      after = device_id
      const deviceId = device_id as DeviceId
      const before = await readDevice(tx, deviceId)
      if (before === null || touched.has(device_id) || hasTombstone(before)) continue
      if (await isIn(copy, device_id)) continue
      await dropTokens(tx, deviceId, null)
      await db.deleteFrom('device_role').where('device_id', '=', device_id).execute()
      await db.deleteFrom('device').where('device_id', '=', device_id).execute()
      noteRestored(tx, deviceId, { from: stateOf(before), to: null })
      removed += 1
    }
    if (page.length < BATCH) return removed
  }
}

function noteRestored(
  tx: Transaction,
  deviceId: DeviceId,
  states: { readonly from: ReturnType<typeof stateOf>; readonly to: ReturnType<typeof stateOf> },
): void {
  tx.record({ kind: 'device-changed', deviceId })
  tx.audit({ by: BY, act: 'device-restored', subject: deviceId, deviceId, ...states })
}

async function touchedSince({ session }: Transaction, sequence: number): Promise<ReadonlySet<string>> {
  const rows = await session.db
    .selectFrom('audit')
    .select('device_id')
    .distinct()
    .where('sequence', '>', sequence)
    .where('act', 'not in', GIVING)
    .execute()
  return new Set(rows.flatMap(({ device_id }) => device_id ?? []))
}

/** How far the log of the store went when the copy was made. */
async function copiedThrough({ copy, withoutSecrets }: CopyToMerge): Promise<number> {
  if (!withoutSecrets) return (await storeOf(copy)).audit_sequence
  const [last] = await copy.db
    .selectFrom('audit')
    .select('to_state')
    .orderBy('sequence', 'desc')
    .limit(1)
    .execute()
  const through: unknown = JSON.parse(last?.to_state ?? '{}').copiedThrough
  if (!Number.isSafeInteger(through)) throw new TypeError('a copy without secrets that does not say of when')
  return Number(through)
}

function storeOf({ db }: SqliteConnection) {
  return db.selectFrom('store').selectAll().executeTakeFirstOrThrow()
}

function pageOfDevices({ db }: Pick<SqliteConnection, 'db'>, after: string) {
  return db
    .selectFrom('device')
    .selectAll()
    .where('device_id', '>', after)
    .orderBy('device_id')
    .limit(BATCH)
    .execute()
}

function rolesOf({ db }: SqliteConnection, deviceId: string) {
  return db.selectFrom('device_role').selectAll().where('device_id', '=', deviceId).execute()
}

async function isIn({ db }: SqliteConnection, deviceId: string): Promise<boolean> {
  const rows = await db.selectFrom('device').select('device_id').where('device_id', '=', deviceId).execute()
  return rows.length > 0
}
