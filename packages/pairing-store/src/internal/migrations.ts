import { type CreateTableBuilder, type Kysely, type RawBuilder, sql } from 'kysely'
import { PairingStoreError } from '../errors.ts'
import type { Schema } from './schema.ts'

/** What a kind of database adds of its own to the tables. */
export interface Dialect {
  /** The end of a table that is only ever looked up by its primary key, or `null`. */
  readonly keyed: RawBuilder<unknown> | null
  /** What makes the database refuse to change or drop rows of this table. */
  readonly appendOnly: (table: string) => readonly RawBuilder<unknown>[]
}

/** One step of the schema, run inside a transaction. Once released, a step is never changed: another one follows it. */
type Migration = (db: Kysely<Schema>, dialect: Dialect) => Promise<void>

/** Step n makes schema n out of schema n − 1. Written for every back end at once. */
const MIGRATIONS: readonly Migration[] = [
  createTables,
  createDeviceTokens,
  createAudit,
  createJoinCodes,
  addHoldfastProofs,
  createRevokedDelegations,
  indexDeviceNames,
]

/** The newest schema that this version knows. */
export const SCHEMA_VERSION = MIGRATIONS.length

/** The schema that a store has, asked of a connection that cannot write it. @throws `STORE_SCHEMA_NEWER` */
export function checkSchema(path: string, found: number): void {
  if (found <= SCHEMA_VERSION) return
  const fix = 'Update this program: a newer one has used the store already.'
  throw new PairingStoreError('STORE_SCHEMA_NEWER', { path, found, known: SCHEMA_VERSION, fix })
}

/** The row that every store has, written with it. */
export async function createStoreRow(
  db: Kysely<Schema>,
  made: { readonly storeId: string; readonly nowMs: number },
): Promise<void> {
  await db
    .insertInto('store')
    .values({
      id: 1,
      store_id: made.storeId,
      created_at_ms: made.nowMs,
      settings: null,
      current_generation: null,
      last_sequence: 0,
      dropped_through: 0,
      audit_sequence: 0,
      audit_hash: null,
      unaudited: 0,
    })
    .execute()
}

/** Bring a store from schema `from` (0: an empty database) to the newest. */
export async function migrate(db: Kysely<Schema>, from: number, dialect: Dialect): Promise<void> {
  for (const step of MIGRATIONS.slice(from)) await step(db, dialect)
  if (from === 0) await db.insertInto('schema_version').values({ version: SCHEMA_VERSION }).execute()
  else await db.updateTable('schema_version').set({ version: SCHEMA_VERSION }).execute()
}

async function createTables(db: Kysely<Schema>, { keyed }: Dialect): Promise<void> {
  const { schema } = db
  await schema
    .createTable('schema_version')
    .addColumn('version', 'integer', c => c.notNull())
    .execute()
  await schema
    .createTable('store')
    .addColumn('id', 'integer', c => c.primaryKey().check(sql`id = 1`))
    .addColumn('store_id', 'text', c => c.notNull())
    .addColumn('created_at_ms', 'bigint', c => c.notNull())
    .addColumn('settings', 'text')
    .addColumn('current_generation', 'text')
    .addColumn('last_sequence', 'bigint', c => c.notNull())
    .addColumn('dropped_through', 'bigint', c => c.notNull())
    .execute()
  await schema
    .createTable('device')
    .addColumn('device_id', 'text', c => c.primaryKey().notNull().check(sql`length(device_id) = 64`))
    .addColumn('public_key', 'text', c => c.notNull())
    .addColumn('name', 'text')
    .addColumn('standing', 'text', c => c.notNull().check(sql`standing in ('trusted-local', 'approved')`))
    .addColumn('registered_by', 'text', c => c.notNull())
    .addColumn('generation_id', 'text')
    .addColumn('client_id', 'text')
    .addColumn('client_mode', 'text')
    .addColumn('platform', 'text')
    .addColumn('device_family', 'text')
    .addColumn('created_at_ms', 'bigint', c => c.notNull())
    .addColumn('last_seen_at_ms', 'bigint')
    .addColumn('revoked_at_ms', 'bigint')
    .addColumn('revoked_by', 'text')
    .$call(table => endTable(table, keyed))
    .execute()
  await schema
    .createTable('device_role')
    .addColumn('device_id', 'text', c => c.notNull().references('device.device_id'))
    .addColumn('role', 'text', c => c.notNull())
    .addColumn('grant_scopes', 'text')
    .addColumn('narrowed_to', 'text')
    .addColumn('revoked_at_ms', 'bigint')
    .addColumn('revoked_by', 'text')
    .addPrimaryKeyConstraint('device_role_key', ['device_id', 'role'])
    .$call(table => endTable(table, keyed))
    .execute()
  await createRequestTable(db)
  await schema
    .createTable('token_generation')
    .addColumn('generation_id', 'text', c => c.primaryKey().notNull())
    .addColumn('created_at_ms', 'bigint', c => c.notNull())
    .addColumn('registers', 'integer', c => c.notNull().check(sql`registers in (0, 1)`))
    .$call(table => endTable(table, keyed))
    .execute()
  await schema
    .createTable('change_log')
    .addColumn('sequence', 'bigint', c => c.primaryKey().notNull())
    .addColumn('kind', 'text', c => c.notNull())
    .addColumn('subject', 'text')
    .addColumn('device_id', 'text')
    .addColumn('outcome', 'text')
    .execute()
}

async function createDeviceTokens({ schema }: Kysely<Schema>, { keyed }: Dialect): Promise<void> {
  await schema
    .createTable('device_token')
    .addColumn('device_id', 'text', c => c.notNull().references('device.device_id'))
    .addColumn('role', 'text', c => c.notNull())
    .addColumn('current_hash', 'text', c => c.notNull())
    .addColumn('issued_at_ms', 'bigint', c => c.notNull())
    .addColumn('pending_hash', 'text')
    .addColumn('pending_at_ms', 'bigint')
    .addColumn('pending_until_ms', 'bigint')
    .addColumn('previous_hash', 'text')
    .addColumn('previous_until_ms', 'bigint')
    .addColumn('promised_at_ms', 'bigint')
    .addPrimaryKeyConstraint('device_token_key', ['device_id', 'role'])
    .$call(table => endTable(table, keyed))
    .execute()
}

async function createAudit(db: Kysely<Schema>, { appendOnly }: Dialect): Promise<void> {
  const { schema } = db
  // One at a time: SQLite adds no two columns in one statement.
  await schema
    .alterTable('store')
    .addColumn('audit_sequence', 'bigint', c => c.notNull().defaultTo(0))
    .execute()
  await schema.alterTable('store').addColumn('audit_hash', 'text').execute()
  await schema
    .alterTable('store')
    .addColumn('unaudited', 'bigint', c => c.notNull().defaultTo(0))
    .execute()
  await schema
    .createTable('audit')
    .addColumn('sequence', 'bigint', c => c.primaryKey().notNull())
    .addColumn('at_ms', 'bigint', c => c.notNull())
    .addColumn('actor', 'text', c => c.notNull())
    .addColumn('act', 'text', c => c.notNull())
    .addColumn('subject', 'text', c => c.notNull())
    .addColumn('device_id', 'text')
    .addColumn('role', 'text')
    .addColumn('from_state', 'text')
    .addColumn('to_state', 'text')
    .addColumn('rule', 'text')
    .addColumn('digest', 'text')
    .addColumn('previous', 'text', c => c.notNull())
    .addColumn('hash', 'text', c => c.notNull())
    .execute()
  await schema.createIndex('audit_device').on('audit').columns(['device_id', 'sequence']).execute()
  for (const guard of appendOnly('audit')) await guard.execute(db)
}

async function createJoinCodes({ schema }: Kysely<Schema>, { keyed }: Dialect): Promise<void> {
  await schema
    .createTable('join_code')
    .addColumn('code_hash', 'text', c => c.primaryKey().notNull())
    .addColumn('code_id', 'text', c => c.notNull().unique())
    .addColumn('role', 'text', c => c.notNull())
    .addColumn('scopes', 'text', c => c.notNull())
    .addColumn('name', 'text')
    .addColumn('created_at_ms', 'bigint', c => c.notNull())
    .addColumn('expires_at_ms', 'bigint', c => c.notNull())
    .addColumn('spent_by', 'text')
    .addColumn('spent_at_ms', 'bigint')
    .$call(table => endTable(table, keyed))
    .execute()
}

async function addHoldfastProofs({ schema }: Kysely<Schema>): Promise<void> {
  await schema.alterTable('device').addColumn('holdfast_proven_at_ms', 'bigint').execute()
  await schema.alterTable('join_code').addColumn('join_key', 'text').execute()
  await schema.createIndex('join_code_key').on('join_code').column('join_key').execute()
}

async function createRevokedDelegations({ schema }: Kysely<Schema>, { keyed }: Dialect): Promise<void> {
  await schema
    .createTable('revoked_delegation')
    .addColumn('device_id', 'text', c => c.notNull().references('device.device_id'))
    .addColumn('subject', 'text', c => c.notNull())
    .addColumn('revoked_at_ms', 'bigint', c => c.notNull())
    .addColumn('revoked_by', 'text', c => c.notNull())
    .addPrimaryKeyConstraint('revoked_delegation_key', ['device_id', 'subject'])
    .$call(table => endTable(table, keyed))
    .execute()
}

/** `lower` folds ASCII alone, on SQLite as on PostgreSQL where texts compare by their bytes. */
async function indexDeviceNames({ schema }: Kysely<Schema>): Promise<void> {
  const folded = sql`lower(name)`
  await schema.createIndex('device_name').on('device').columns([folded, 'device_id']).execute()
}

function endTable<Table extends CreateTableBuilder<string>>(table: Table, end: Dialect['keyed']) {
  return end === null ? table : table.modifyEnd(end)
}

async function createRequestTable({ schema }: Kysely<Schema>): Promise<void> {
  await schema
    .createTable('request')
    .addColumn('request_id', 'text', c => c.primaryKey().notNull())
    .addColumn('device_id', 'text', c => c.notNull())
    .addColumn('public_key', 'text', c => c.notNull())
    .addColumn('role', 'text', c => c.notNull())
    .addColumn('scopes', 'text', c => c.notNull())
    .addColumn('missing', 'text', c => c.notNull())
    .addColumn('reason', 'text', c => c.notNull())
    .addColumn('name', 'text')
    .addColumn('client_id', 'text', c => c.notNull())
    .addColumn('client_mode', 'text', c => c.notNull())
    .addColumn('platform', 'text')
    .addColumn('device_family', 'text')
    .addColumn('origin_class', 'text', c => c.notNull())
    .addColumn('source', 'text', c => c.notNull())
    .addColumn('token_shown', 'integer', c => c.notNull())
    .addColumn('digest', 'text', c => c.notNull())
    .addColumn('created_at_ms', 'bigint', c => c.notNull())
    .addColumn('last_seen_at_ms', 'bigint', c => c.notNull())
    .addColumn('expires_at_ms', 'bigint', c => c.notNull())
    .addUniqueConstraint('request_wish', ['device_id', 'role', 'scopes'])
    .execute()
  await schema.createIndex('request_source').on('request').column('source').execute()
  await schema.createIndex('request_expiry').on('request').column('expires_at_ms').execute()
}
