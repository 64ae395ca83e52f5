import type { DeviceId } from '@holdfast/identity'
import type { AuditHead } from '../audit.ts'
import type { SinceUnknown } from '../errors.ts'
import { appendAudit, type PendingEntry } from './audit-log.ts'
import { headOf } from './audit-reading.ts'
import { inTransaction } from './busy-retry.ts'
import { HELD_BY_RESTORE } from './schema.ts'
import type { SqliteConnection } from './sqlite-connection.ts'

const BY = { kind: 'store-writer' } as const

/**
 * Make a copy fit to be the store where nobody knows what was revoked since it was made: whoever it lets in is held back,
 * nothing that stands for a secret is good any more, and only the new gateway token registers.
 */
export async function holdBack(
  copy: SqliteConnection,
  since: {
    readonly reason: SinceUnknown
    readonly expectedHead: AuditHead | null
    readonly generationId: string
    readonly nowMs: number
  },
): Promise<{ readonly head: AuditHead; readonly held: number }> {
  const { generationId, nowMs } = since
  return inTransaction(copy, async () => {
    const { db } = copy
    const before = await db.selectFrom('store').selectAll().executeTakeFirstOrThrow()
    for (const table of ['device_token', 'join_code', 'request'] as const)
      await db.deleteFrom(table).execute()
    await db.updateTable('token_generation').set({ registers: 0 }).execute()
    await useGeneration(copy, generationId, nowMs)
    const held = await db
      .updateTable('device')
      .set({ revoked_at_ms: nowMs, revoked_by: HELD_BY_RESTORE })
      .where('revoked_at_ms', 'is', null)
      .returning('device_id')
      .execute()
    const { reason, expectedHead } = since
    const copied = headOf(before)
    const entries: PendingEntry[] = [
      {
        by: BY,
        act: 'store-restored',
        subject: 'store',
        from: { unknown: reason, keptHead: expectedHead },
        to: { copy: copied, held: held.length },
      },
      {
        by: BY,
        act: 'gateway-token-recorded',
        subject: generationId,
        from: before.current_generation === null ? null : { generationId: before.current_generation },
        to: { generationId },
      },
      ...held.map(({ device_id }) => heldEntry(device_id as DeviceId)),
    ]
    await appendAudit(copy, entries, { nowMs, storeId: before.store_id })
    const after = await db.selectFrom('store').selectAll().executeTakeFirstOrThrow()
    return { head: headOf(after), held: held.length }
  })
}

/** @throws TypeError where the token was one of this store's before */
async function useGeneration({ db }: SqliteConnection, generation_id: string, nowMs: number): Promise<void> {
  const known = await db
    .selectFrom('token_generation')
    .select('generation_id')
    .where('generation_id', '=', generation_id)
    .execute()
  if (known.length > 0) throw new TypeError('newGatewayToken: one that nobody had before')
  await db
    .insertInto('token_generation')
    .values({ generation_id, created_at_ms: nowMs, registers: 1 })
    .execute()
  await db.updateTable('store').set({ current_generation: generation_id }).execute()
}

function heldEntry(deviceId: DeviceId): PendingEntry {
  return {
    by: BY,
    act: 'device-held',
    subject: deviceId,
    deviceId,
    from: { held: false },
    to: { held: true },
  }
}
