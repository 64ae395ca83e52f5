import { type Kysely, type RawBuilder, type SelectQueryBuilder, sql } from 'kysely'
import {
  type FactsAndTokensKey,
  type FactsAndTokensRow,
  type FactsKey,
  type FactsRow,
  prepareFacts,
  prepareFactsAndTokens,
} from './facts-query.ts'
import type {
  AuditTable,
  DeviceTable,
  DeviceTokenTable,
  JoinCodeTable,
  RequestTable,
  RevokedDelegationTable,
  Schema,
} from './schema.ts'
import { type PreparedQuery, prepareQuery } from './sql-driver.ts'

export interface RoomRow {
  readonly of_device_role: number | null
  readonly of_source: number | null
  readonly total: number | null
}

export interface WishKey {
  readonly deviceId: string
  readonly role: string
  readonly scopes: string
  readonly nowMs: number
}

/** A device with one of its roles, or with none: then the columns of the role are `null`. */
export type DeviceRoleRow = DeviceTable & {
  readonly role: string | null
  readonly grant_scopes: string | null
  readonly narrowed_to: string | null
  readonly role_revoked_at_ms: number | null
}

/** An unused place is an empty text. */
export type ChainKey = { readonly deviceId: string } & Readonly<
  Record<`id${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7}`, string>
>

/** A name, its ASCII letters small; ids from one up to another are left out. */
export interface NamedKey {
  readonly name: string
  readonly idFrom: string
  readonly idTo: string
  readonly limit: number
}

type RequestRow = RequestTable

/** An empty text is no filter. */
export interface AuditKey {
  readonly after: number
  readonly deviceId: string
  readonly actor: string
  readonly act: string
  readonly sinceMs: number
  readonly untilMs: number
  readonly limit: number
}

/** The statements that run often, compiled once for a store. */
export interface Queries {
  readonly facts: PreparedQuery<FactsKey, FactsRow>
  readonly factsAndTokens: PreparedQuery<FactsAndTokensKey, FactsAndTokensRow>
  readonly room: PreparedQuery<
    { readonly deviceId: string; readonly role: string; readonly source: string; readonly nowMs: number },
    RoomRow
  >
  readonly openRequest: PreparedQuery<WishKey, RequestRow>
  readonly requestById: PreparedQuery<{ readonly requestId: string; readonly nowMs: number }, RequestRow>
  readonly requestPage: PreparedQuery<
    {
      readonly afterMs: number
      readonly afterId: string
      readonly nowMs: number
      readonly limit: number
    },
    RequestRow
  >
  readonly expiredRequests: PreparedQuery<
    { readonly nowMs: number },
    { readonly request_id: string; readonly device_id: string }
  >
  readonly tokensOf: PreparedQuery<{ readonly deviceId: string }, DeviceTokenTable>
  readonly tokenOf: PreparedQuery<{ readonly deviceId: string; readonly role: string }, DeviceTokenTable>
  readonly deviceById: PreparedQuery<{ readonly deviceId: string }, DeviceRoleRow>
  readonly devicePage: PreparedQuery<{ readonly after: string; readonly limit: number }, DeviceRoleRow>
  /** The next ids of a range. */
  readonly devicesById: PreparedQuery<
    { readonly from: string; readonly to: string; readonly limit: number },
    DeviceRoleRow
  >
  /** Those of one name, past one of them. */
  readonly devicesNamed: PreparedQuery<NamedKey & { readonly after: string }, DeviceRoleRow>
  /** Those of the next names of a range. */
  readonly devicesByName: PreparedQuery<NamedKey & { readonly to: string }, DeviceRoleRow>
  readonly schemaVersion: PreparedQuery<Record<never, never>, { readonly version: number }>
  readonly store: PreparedQuery<Record<never, never>, Schema['store']>
  readonly generation: PreparedQuery<{ readonly generationId: string }, Schema['token_generation']>
  readonly joinCode: PreparedQuery<{ readonly codeHash: string; readonly nowMs: number }, JoinCodeTable>
  readonly joinKey: PreparedQuery<{ readonly key: string; readonly nowMs: number }, JoinCodeTable>
  readonly joinCodes: PreparedQuery<{ readonly nowMs: number }, JoinCodeTable>
  readonly revokedDelegations: PreparedQuery<{ readonly deviceId: string }, RevokedDelegationTable>
  /** Of the ids in a chain, as many as one can have, those that were revoked. */
  readonly revokedAmong: PreparedQuery<ChainKey, Pick<RevokedDelegationTable, 'subject'>>
  readonly auditRows: PreparedQuery<{ readonly after: number; readonly limit: number }, AuditTable>
  readonly auditOldest: PreparedQuery<AuditKey, AuditTable>
  readonly auditNewest: PreparedQuery<AuditKey, AuditTable>
  readonly changesAfter: PreparedQuery<
    { readonly sequence: number; readonly limit: number },
    Schema['change_log']
  >
}

/** The key for the ids of one chain. */
export function chainKey(deviceId: string, ids: readonly string[]): ChainKey {
  const places = CHAIN_PLACES.map((place, at) => [place, ids[at] ?? ''])
  return { deviceId, ...Object.fromEntries(places) }
}

const CHAIN_PLACES = ['id0', 'id1', 'id2', 'id3', 'id4', 'id5', 'id6', 'id7'] as const

export function prepareQueries(db: Kysely<Schema>): Queries {
  return {
    facts: prepareFacts(db),
    factsAndTokens: prepareFactsAndTokens(db),
    room: prepareQuery(value => {
      const open = db
        .selectFrom('request')
        .where('expires_at_ms', '>', value('nowMs'))
        .select(count => count.fn.countAll<number>().as('count'))
      return db.selectNoFrom([
        open
          .where('device_id', '=', value('deviceId'))
          .where('role', '=', value('role'))
          .as('of_device_role'),
        open.where('source', '=', value('source')).where('token_shown', '=', 0).as('of_source'),
        open.as('total'),
      ])
    }),
    openRequest: prepareQuery(value =>
      db
        .selectFrom('request')
        .selectAll()
        .where('device_id', '=', value('deviceId'))
        .where('role', '=', value('role'))
        .where('scopes', '=', value('scopes'))
        .where('expires_at_ms', '>', value('nowMs')),
    ),
    requestById: prepareQuery(value =>
      db
        .selectFrom('request')
        .selectAll()
        .where('request_id', '=', value('requestId'))
        .where('expires_at_ms', '>', value('nowMs')),
    ),
    requestPage: prepareQuery(value =>
      db
        .selectFrom('request')
        .selectAll()
        .where('expires_at_ms', '>', value('nowMs'))
        .where(eb =>
          eb.or([
            eb('created_at_ms', '>', value('afterMs')),
            eb.and([eb('created_at_ms', '=', value('afterMs')), eb('request_id', '>', value('afterId'))]),
          ]),
        )
        .orderBy('created_at_ms')
        .orderBy('request_id')
        .limit(value('limit')),
    ),
    expiredRequests: prepareQuery(value =>
      db
        .selectFrom('request')
        .select(['request_id', 'device_id'])
        .where('expires_at_ms', '<=', value('nowMs')),
    ),
    tokensOf: prepareQuery(value =>
      db.selectFrom('device_token').selectAll().where('device_id', '=', value('deviceId')).orderBy('role'),
    ),
    tokenOf: prepareQuery(value =>
      db
        .selectFrom('device_token')
        .selectAll()
        .where('device_id', '=', value('deviceId'))
        .where('role', '=', value('role')),
    ),
    deviceById: prepareQuery(value =>
      withRoles(db, db.selectFrom('device').selectAll().where('device_id', '=', value('deviceId'))),
    ),
    devicePage: prepareQuery(value =>
      withRoles(
        db,
        db
          .selectFrom('device')
          .selectAll()
          .where('device_id', '>', value('after'))
          .orderBy('device_id')
          .limit(value('limit')),
      ),
    ),
    devicesById: prepareQuery(value =>
      withRoles(
        db,
        db
          .selectFrom('device')
          .selectAll()
          .where('device_id', '>=', value('from'))
          .where('device_id', '<', value('to'))
          .orderBy('device_id')
          .limit(value('limit')),
      ),
    ),
    // Two ranges of an index. As one comparison of pairs SQLite would go through all of the names before them.
    devicesNamed: prepareQuery(value =>
      withRoles(
        db,
        namedDevices(db, value)
          .where(FOLDED_NAME, '=', value('name'))
          .where('device_id', '>', value('after'))
          .orderBy('device_id'),
      ),
    ),
    devicesByName: prepareQuery(value =>
      withRoles(
        db,
        namedDevices(db, value)
          .where(FOLDED_NAME, '>', value('name'))
          .where(FOLDED_NAME, '<', value('to'))
          .orderBy(FOLDED_NAME)
          .orderBy('device_id'),
        sql`lower(d.name)`,
      ),
    ),
    schemaVersion: prepareQuery(() => db.selectFrom('schema_version').select('version')),
    store: prepareQuery(() => db.selectFrom('store').selectAll()),
    generation: prepareQuery(value =>
      db.selectFrom('token_generation').selectAll().where('generation_id', '=', value('generationId')),
    ),
    joinCode: prepareQuery(value =>
      db
        .selectFrom('join_code')
        .selectAll()
        .where('code_hash', '=', value('codeHash'))
        .where('expires_at_ms', '>', value('nowMs')),
    ),
    joinKey: prepareQuery(value =>
      db
        .selectFrom('join_code')
        .selectAll()
        .where('join_key', '=', value('key'))
        .where('expires_at_ms', '>', value('nowMs')),
    ),
    joinCodes: prepareQuery(value =>
      db
        .selectFrom('join_code')
        .selectAll()
        .where('expires_at_ms', '>', value('nowMs'))
        .orderBy('created_at_ms')
        .orderBy('code_id'),
    ),
    revokedDelegations: prepareQuery(value =>
      db
        .selectFrom('revoked_delegation')
        .selectAll()
        .where('device_id', '=', value('deviceId'))
        .orderBy('revoked_at_ms')
        .orderBy('subject'),
    ),
    revokedAmong: prepareQuery(value =>
      db
        .selectFrom('revoked_delegation')
        .select('subject')
        .where('device_id', '=', value('deviceId'))
        .where('subject', 'in', CHAIN_PLACES.map(value)),
    ),
    auditRows: prepareQuery(value =>
      db
        .selectFrom('audit')
        .selectAll()
        .where('sequence', '>', value('after'))
        .orderBy('sequence')
        .limit(value('limit')),
    ),
    auditOldest: prepareQuery(value =>
      filteredAudit(db, value)
        .where('sequence', '>', value('after'))
        .orderBy('sequence')
        .limit(value('limit')),
    ),
    auditNewest: prepareQuery(value =>
      filteredAudit(db, value)
        .where('sequence', '<', value('after'))
        .orderBy('sequence', 'desc')
        .limit(value('limit')),
    ),
    changesAfter: prepareQuery(value =>
      db
        .selectFrom('change_log')
        .selectAll()
        .where('sequence', '>', value('sequence'))
        .orderBy('sequence')
        .limit(value('limit')),
    ),
  }
}

function filteredAudit(
  db: Kysely<Schema>,
  value: <Name extends keyof AuditKey>(name: Name) => AuditKey[Name],
) {
  return db
    .selectFrom('audit')
    .selectAll()
    .where(eb => eb.or([eb(eb.val(value('deviceId')), '=', ''), eb('device_id', '=', value('deviceId'))]))
    .where(eb => eb.or([eb(eb.val(value('actor')), '=', ''), eb('actor', '=', value('actor'))]))
    .where(eb => eb.or([eb(eb.val(value('act')), '=', ''), eb('act', '=', value('act'))]))
    .where('at_ms', '>=', value('sinceMs'))
    .where('at_ms', '<', value('untilMs'))
}

/** As the index over names has it. */
const FOLDED_NAME = sql<string>`lower(name)`

function namedDevices(
  db: Kysely<Schema>,
  value: <Name extends keyof NamedKey>(name: Name) => NamedKey[Name],
) {
  return db
    .selectFrom('device')
    .selectAll()
    .where(eb => eb.or([eb('device_id', '<', value('idFrom')), eb('device_id', '>=', value('idTo'))]))
    .limit(value('limit'))
}

// One statement for devices and their roles, so that both are of one moment.
function withRoles(
  db: Kysely<Schema>,
  devices: SelectQueryBuilder<Schema, 'device', DeviceTable>,
  first: RawBuilder<unknown> | null = null,
) {
  return db
    .selectFrom(devices.as('d'))
    .leftJoin('device_role as r', 'r.device_id', 'd.device_id')
    .selectAll('d')
    .select(['r.role', 'r.grant_scopes', 'r.narrowed_to', 'r.revoked_at_ms as role_revoked_at_ms'])
    .$if(first !== null, query => query.orderBy(first ?? sql`1`))
    .orderBy('d.device_id')
    .orderBy('r.role')
}
