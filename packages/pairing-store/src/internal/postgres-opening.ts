import { randomUUID } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { PairingStoreError } from '../errors.ts'
import { checkSchema, createStoreRow, type Dialect, migrate, SCHEMA_VERSION } from './migrations.ts'
import { type PostgresSession, STORE_SCHEMA } from './postgres-client.ts'
import { beginScript, rollBack } from './postgres-driver.ts'
import { busy, isLockTimeout } from './postgres-errors.ts'
import { CHANNEL } from './postgres-feed.ts'
import type { Schema } from './schema.ts'

const inSchema = (name: string) => sql.id(STORE_SCHEMA, name)

/** What the tables are on PostgreSQL. */
const POSTGRES_DIALECT: Dialect = {
  keyed: null,
  appendOnly: table => [
    sql`create function ${inSchema(`${table}_refuse`)}() returns trigger language plpgsql as $$ begin raise exception 'rows of this table are only ever added'; end $$`,
    sql`create trigger ${sql.id(`${table}_only_grows`)} before update or delete or truncate on ${inSchema(table)} for each statement execute function ${inSchema(`${table}_refuse`)}()`,
  ],
}

/**
 * See that the schema of a store is there and is as new as this version: make or migrate it where needed. Of any number of
 * openers one does, and the others wait for it.
 *
 * @throws {@link PairingStoreError} `STORE_FOREIGN`, `STORE_SCHEMA_NEWER`
 */
export async function prepareTables(
  session: PostgresSession,
  options: {
    readonly path: string
    readonly nowMs: number
    readonly waitMs: number
    readonly answerMs: number
    readonly create: boolean
  },
): Promise<void> {
  const { path, waitMs, answerMs } = options
  const found = await findVersion(session, path)
  if (found === SCHEMA_VERSION) return
  if (found === null && !options.create) {
    const fix = 'Start a gateway on it first, or name the database that has the store.'
    throw new PairingStoreError('STORE_UNREADABLE', { path, reason: 'missing', fix })
  }
  try {
    await session.script(beginScript(waitMs, answerMs), waitMs)
    const version = await findVersion(session, path)
    if (version === null) await createTables(session.db, options.nowMs)
    else if (version < SCHEMA_VERSION) await migrate(session.db, version, POSTGRES_DIALECT)
    await compareByBytes(session)
    await session.script('commit')
  } catch (error) {
    await rollBack(session, error)
    throw isLockTimeout(error) ? busy(path, waitMs, error) : error
  }
}

/** The schema that the store has, or `null` where there is none. */
async function findVersion(session: PostgresSession, path: string): Promise<number | null> {
  const [found] = await session.rows<{ readonly ours: boolean; readonly tables: number }>(
    `select to_regclass('${STORE_SCHEMA}.schema_version') is not null as ours,
       (select count(*) from pg_class where relnamespace = to_regnamespace('${STORE_SCHEMA}')) as tables`,
  )
  if (found?.ours !== true) {
    if ((found?.tables ?? 0) === 0) return null
    const fix = `Give the store a database of its own: the schema "${STORE_SCHEMA}" of this one is in use.`
    throw new PairingStoreError('STORE_FOREIGN', { path, fix })
  }
  const [row] = await session.rows<{ readonly version: number }>(
    `select version from ${STORE_SCHEMA}.schema_version`,
  )
  checkSchema(path, row?.version ?? 0)
  return row?.version ?? 0
}

async function createTables(db: Kysely<Schema>, nowMs: number): Promise<void> {
  await db.schema.createSchema(STORE_SCHEMA).ifNotExists().execute()
  await migrate(db, 0, POSTGRES_DIALECT)
  await createStoreRow(db, { storeId: randomUUID(), nowMs })
  // The server tells of a commit to the log, whoever wrote it. Equal notifications of one transaction are one.
  await sql`create function ${inSchema('tell_of_changes')}() returns trigger language plpgsql as ${sql.raw(`$$ begin notify ${CHANNEL}; return null; end $$`)}`.execute(
    db,
  )
  await sql`create trigger change_log_told after insert on ${inSchema('change_log')} for each statement execute function ${inSchema('tell_of_changes')}()`.execute(
    db,
  )
}

/**
 * Texts compare by their bytes, as they do on SQLite, whatever the language of the database: an order that comes from the
 * system's library changes with it, and leaves indices that are wrong.
 */
async function compareByBytes(session: PostgresSession): Promise<void> {
  const tables = await session.rows<{ readonly name: string; readonly columns: string }>(
    `select table_name as name, string_agg(format('alter column %I type text collate "C"', column_name), ', ') as columns
     from information_schema.columns
     where table_schema = $1 and data_type = 'text' and collation_name is distinct from 'C' group by table_name`,
    [STORE_SCHEMA],
  )
  for (const { name, columns } of tables) {
    await sql`alter table ${inSchema(name)} ${sql.raw(columns)}`.execute(session.db)
  }
}
