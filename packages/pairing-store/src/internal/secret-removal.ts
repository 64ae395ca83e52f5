import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { appendAudit, entryHash, firstPrevious } from './audit-log.ts'
import { inTransaction } from './busy-retry.ts'
import type { AuditTable } from './schema.ts'
import { SQLITE_DIALECT, type SqliteConnection } from './sqlite-connection.ts'
import { upgradeCopy } from './store-copy.ts'

const BATCH = 1_000

/**
 * Take everything out of a copy by which a guess at a secret can be tried. A hash over an entry that names a commitment is
 * such a thing as well, so that the log is chained anew; its last entry says how far the log of the store went.
 */
export async function removeSecrets(copy: SqliteConnection, nowMs: number): Promise<void> {
  await inTransaction(copy, async () => {
    const { db } = copy
    await upgradeCopy(copy)
    await db.deleteFrom('device_token').execute()
    await db.deleteFrom('join_code').execute()
    await db.deleteFrom('change_log').execute()
    await db
      .updateTable('store')
      .set(({ ref }) => ({ dropped_through: ref('last_sequence') }))
      .execute()
    const names = await renameGenerations(copy)
    const store = await db.selectFrom('store').selectAll().executeTakeFirstOrThrow()
    const to = { copiedThrough: store.audit_sequence }
    await chainAnew(copy, store.store_id, names)
    const entry = {
      by: { kind: 'store-writer' },
      act: 'secrets-removed',
      subject: 'store',
      from: null,
      to,
    } as const
    await appendAudit(copy, [entry], { nowMs, storeId: store.store_id })
  })
  // What was deleted stays in the free pages of a file until it is written anew.
  copy.run('VACUUM')
}

/** Another name for each generation, out of which nothing can be told. */
async function renameGenerations({ db }: SqliteConnection): Promise<ReadonlyMap<string, string>> {
  const generations = await db.selectFrom('token_generation').select('generation_id').execute()
  const names = new Map(generations.map(each => [each.generation_id, randomBytes(32).toString('hex')]))
  for (const [before, generation_id] of names) {
    await db
      .updateTable('token_generation')
      .set({ generation_id })
      .where('generation_id', '=', before)
      .execute()
    await db.updateTable('device').set({ generation_id }).where('generation_id', '=', before).execute()
    await db
      .updateTable('store')
      .set({ current_generation: generation_id })
      .where('current_generation', '=', before)
      .execute()
  }
  return names
}

async function chainAnew(
  { db }: SqliteConnection,
  storeId: string,
  names: ReadonlyMap<string, string>,
): Promise<void> {
  for (const act of ['update', 'delete']) await sql`drop trigger ${sql.id(`audit_no_${act}`)}`.execute(db)
  let previous = firstPrevious(storeId)
  for (let after = 0; ; ) {
    const rows = await db
      .selectFrom('audit')
      .selectAll()
      .where('sequence', '>', after)
      .orderBy('sequence')
      .limit(BATCH)
      .execute()
    for (const row of rows) {
      const next = { ...renamed(row, names), previous }
      previous = entryHash(next)
      after = row.sequence
      await db
        .updateTable('audit')
        .set({ ...next, hash: previous })
        .where('sequence', '=', after)
        .execute()
    }
    if (rows.length < BATCH) break
  }
  await db.updateTable('store').set({ audit_hash: previous }).execute()
  for (const guard of SQLITE_DIALECT.appendOnly('audit')) await guard.execute(db)
}

/** An entry in which every generation goes by its other name. */
function renamed(row: AuditTable, names: ReadonlyMap<string, string>): AuditTable {
  const rename = <Text extends string | null>(text: Text) =>
    text === null ? text : text.replaceAll(/[0-9a-f]{64}/g, id => names.get(id) ?? id)
  const { subject, from_state, to_state } = row
  return {
    ...row,
    subject: rename(subject) ?? subject,
    from_state: rename(from_state),
    to_state: rename(to_state),
  }
}
