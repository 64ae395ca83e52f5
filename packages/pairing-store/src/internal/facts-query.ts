import type { Kysely } from 'kysely'
import type { TokenHashes } from './device-token.ts'
import type { DeviceTable, Schema } from './schema.ts'
import { type PreparedQuery, prepareQuery, type SqlValue } from './sql-driver.ts'

/** Everything that an admission is decided on, but for the room for requests and the tokens of devices. */
export interface FactsRow {
  readonly current_generation: string | null
  readonly registers: number | null
  readonly public_key: string | null
  readonly standing: DeviceTable['standing'] | null
  readonly revoked_at_ms: number | null
  readonly holdfast_proven_at_ms: number | null
  readonly grant_scopes: string | null
  readonly narrowed_to: string | null
  readonly role_revoked_at_ms: number | null
}

export interface FactsKey {
  readonly generationId: string | null
  /** The proven one. */
  readonly deviceId: string | null
  readonly role: string
}

/** The same, and the tokens of a device in the wished role. */
export interface FactsAndTokensRow extends FactsRow, TokenHashes {
  readonly promised_at_ms: number | null
}

export interface FactsAndTokensKey extends FactsKey {
  /** The claimed one, whose tokens are looked up. */
  readonly tokenDeviceId: string | null
}

const FACTS = [
  'store.current_generation',
  'token_generation.registers',
  'device.public_key',
  'device.standing',
  'device.revoked_at_ms',
  'device.holdfast_proven_at_ms',
  'device_role.grant_scopes',
  'device_role.narrowed_to',
  'device_role.revoked_at_ms as role_revoked_at_ms',
] as const

const TOKENS = [
  'device_token.current_hash',
  'device_token.pending_hash',
  'device_token.pending_until_ms',
  'device_token.previous_hash',
  'device_token.previous_until_ms',
  'device_token.promised_at_ms',
] as const

/** For whoever shows no device token and is to be handed out none: one table less to look into. */
export function prepareFacts(db: Kysely<Schema>): PreparedQuery<FactsKey, FactsRow> {
  return prepareQuery(value => joinedFacts(db, value).select(FACTS), rowOf(FACTS))
}

export function prepareFactsAndTokens(
  db: Kysely<Schema>,
): PreparedQuery<FactsAndTokensKey, FactsAndTokensRow> {
  return prepareQuery(
    value =>
      joinedFacts(db, value)
        .leftJoin('device_token', join =>
          join
            .on('device_token.device_id', '=', value('tokenDeviceId') ?? '')
            .on('device_token.role', '=', value('role')),
        )
        .select([...FACTS, ...TOKENS]),
    rowOf([...FACTS, ...TOKENS]),
  )
}

function joinedFacts(db: Kysely<Schema>, value: <Name extends keyof FactsKey>(name: Name) => FactsKey[Name]) {
  return db
    .selectFrom('store')
    .leftJoin('token_generation', join =>
      join.on('token_generation.generation_id', '=', value('generationId') ?? ''),
    )
    .leftJoin('device', join => join.on('device.device_id', '=', value('deviceId') ?? ''))
    .leftJoin('device_role', join =>
      join.onRef('device_role.device_id', '=', 'device.device_id').on('device_role.role', '=', value('role')),
    )
}

/** What makes a row of the values of these columns: each by the last word of its column. */
function rowOf<Row>(columns: readonly string[]): (values: readonly SqlValue[]) => Row {
  const names = columns.map(column => column.replace(/^.* as |^.*\./, ''))
  return values => {
    const row: Record<string, SqlValue> = {}
    for (let at = 0; at < names.length; at++) row[names[at] ?? ''] = values[at] ?? null
    return row as Row
  }
}
