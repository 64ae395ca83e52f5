import type { AuditHead } from '../audit.ts'
import type { StoreFlaw, StoreVerdict } from '../verification.ts'
import { verifyLog } from './audit-reading.ts'
import { checkSchema, migrate, SCHEMA_VERSION } from './migrations.ts'
import { prepareQueries } from './queries.ts'
import { SQLITE_DIALECT, SqliteConnection } from './sqlite-connection.ts'

/** The schema that brought the audit log. */
const AUDIT_SCHEMA = 3
const MOST_COMPLAINTS = 10

/** All that can be wrong with a store, in one snapshot. The first that is found is told. */
export async function checkWhole(
  connection: SqliteConnection,
  path: string,
  expectedHead: AuditHead | null,
): Promise<StoreVerdict> {
  connection.run('BEGIN')
  try {
    const flaw = fileFlaw(connection)
    if (flaw !== null) return broken(flaw)
    const [version] = await connection.db.selectFrom('schema_version').selectAll().execute()
    const schema = version?.version ?? 0
    checkSchema(path, schema)
    const strange = schema === SCHEMA_VERSION ? await schemaFlaw(connection) : null
    return strange === null ? await checkRows(connection, schema, expectedHead) : broken(strange)
  } finally {
    connection.run('ROLLBACK')
  }
}

async function checkRows(
  connection: SqliteConnection,
  schema: number,
  expectedHead: AuditHead | null,
): Promise<StoreVerdict> {
  const { db } = connection
  const store = await db.selectFrom('store').selectAll().executeTakeFirst()
  if (store === undefined) return broken({ part: 'schema', missing: ['row store'], foreign: [] })
  const { devices } = await db
    .selectFrom('device')
    .select(({ fn }) => fn.countAll<number>().as('devices'))
    .executeTakeFirstOrThrow()
  const seen = { storeId: store.store_id, schema, devices }
  if (schema < AUDIT_SCHEMA) {
    return { outcome: 'intact', ...seen, head: null, unaudited: 0, withoutSecrets: false }
  }
  const verdict = await verifyLog({ session: connection, queries: prepareQueries(db) }, store, expectedHead)
  if (verdict.outcome === 'broken') {
    return broken({ part: 'audit', sequence: verdict.sequence, flaw: verdict.flaw })
  }
  const { head, unaudited } = verdict
  const withoutSecrets = (await lastAct(connection)) === 'secrets-removed'
  return { outcome: 'intact', ...seen, head, unaudited, withoutSecrets }
}

async function lastAct({ db }: SqliteConnection): Promise<string | null> {
  const last = await db.selectFrom('audit').select('act').orderBy('sequence', 'desc').limit(1).execute()
  return last[0]?.act ?? null
}

function broken(flaw: StoreFlaw): StoreVerdict {
  return { outcome: 'broken', flaw }
}

function fileFlaw(connection: SqliteConnection): StoreFlaw | null {
  const rows = connection.pragmaRows(`integrity_check(${MOST_COMPLAINTS})`) as { integrity_check: string }[]
  const complaints = rows.map(row => row.integrity_check).filter(text => text !== 'ok')
  if (complaints.length > 0) return { part: 'file', complaints }
  const orphans = connection.pragmaRows('foreign_key_check') as { table: string }[]
  const tables = [...new Set(orphans.map(row => row.table))]
  return tables.length > 0 ? { part: 'references', tables } : null
}

/** What a file has beside the tables of its schema can do anything: a trigger, for one, gives grants of its own. */
async function schemaFlaw(connection: SqliteConnection): Promise<StoreFlaw | null> {
  const model = new SqliteConnection(':memory:', { readOnly: false })
  try {
    await migrate(model.db, 0, SQLITE_DIALECT)
    const [wanted, found] = [partsOf(model), partsOf(connection)]
    const missing = wanted.filter(part => !found.includes(part))
    const foreign = found.filter(part => !wanted.includes(part))
    return missing.length + foreign.length > 0 ? { part: 'schema', missing, foreign } : null
  } finally {
    model.close()
  }
}

/** Each table with its columns, each index, and each trigger with what it does. */
function partsOf(connection: SqliteConnection): string[] {
  return connection.parts().map(({ type, name, columns, sql }) => {
    const what = type === 'table' ? ` (${columns})` : type === 'trigger' ? `: ${sql}` : ''
    return `${type} ${name}${what}`
  })
}
