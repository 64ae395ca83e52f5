/** The tables, as Kysely sees them. Times are ms since the epoch; lists of scopes are joined by one blank, sorted. */
export interface Schema {
  schema_version: { version: number }
  store: StoreTable
  device: DeviceTable
  device_role: DeviceRoleTable
  request: RequestTable
  token_generation: TokenGenerationTable
  change_log: ChangeTable
  device_token: DeviceTokenTable
  audit: AuditTable
  join_code: JoinCodeTable
  revoked_delegation: RevokedDelegationTable
}

/** One row. `last_sequence` is drawn from in every transaction that changes trust: its row lock orders them. */
export interface StoreTable {
  id: 1
  store_id: string
  created_at_ms: number
  /** JSON, or `null` before the first start of a gateway. */
  settings: string | null
  current_generation: string | null
  last_sequence: number
  /** Changes up to this one were dropped from the log. */
  dropped_through: number
  /** The number and the hash of the last entry of the audit log; `null` before the first. */
  audit_sequence: number
  audit_hash: string | null
  /** Changes that went through without an entry. */
  unaudited: number
}

export interface DeviceTable {
  device_id: string
  public_key: string
  name: string | null
  /** What it is unless it is revoked. */
  standing: 'trusted-local' | 'approved'
  registered_by: 'local' | 'store-writer' | 'request' | 'preregistration' | 'join-code'
  /** The generation of the gateway token that registered it. */
  generation_id: string | null
  client_id: string | null
  client_mode: string | null
  platform: string | null
  device_family: string | null
  created_at_ms: number
  last_seen_at_ms: number | null
  revoked_at_ms: number | null
  /** `store-writer`, or a device id; or {@link HELD_BY_RESTORE}. */
  revoked_by: string | null
  /** When it was first admitted by a `holdfast/1` proof: from then on nothing weaker will do. */
  holdfast_proven_at_ms: number | null
}

/** By whom a device is shut out that was in a copy, where nobody knows whether it was revoked since: its grants stay. */
export const HELD_BY_RESTORE = 'restore'

export interface DeviceRoleTable {
  device_id: string
  role: string
  grant_scopes: string | null
  narrowed_to: string | null
  revoked_at_ms: number | null
  revoked_by: string | null
}

export interface RequestTable {
  request_id: string
  device_id: string
  public_key: string
  role: string
  scopes: string
  missing: string
  reason: 'not-paired' | 'role-upgrade' | 'scope-upgrade'
  name: string | null
  client_id: string
  client_mode: string
  platform: string | null
  device_family: string | null
  origin_class: 'none' | 'browser'
  source: string
  /** 1: it was opened beside a valid gateway token. */
  token_shown: number
  digest: string
  created_at_ms: number
  last_seen_at_ms: number
  expires_at_ms: number
}

export interface TokenGenerationTable {
  /** The commitment. */
  generation_id: string
  created_at_ms: number
  registers: number
}

export interface ChangeTable {
  sequence: number
  kind: string
  /** The device, request or generation that it is about. */
  subject: string | null
  device_id: string | null
  outcome: string | null
}

/** The tokens of one device in one role, by their hashes. Where there is a row there is a current token. */
export interface DeviceTokenTable {
  device_id: string
  role: string
  current_hash: string
  issued_at_ms: number
  /** Of a rotation that nobody finished yet. */
  pending_hash: string | null
  pending_at_ms: number | null
  pending_until_ms: number | null
  /** The one that the current one took the place of. */
  previous_hash: string | null
  previous_until_ms: number | null
  /** When a new token was promised for the device's next hello, or `null`. */
  promised_at_ms: number | null
}

/** One entry of the audit log. Rows are only ever added. */
export interface AuditTable {
  sequence: number
  at_ms: number
  /** `store-writer`, or a device id. */
  actor: string
  act: string
  subject: string
  device_id: string | null
  role: string | null
  /** JSON. */
  from_state: string | null
  to_state: string | null
  rule: string | null
  digest: string | null
  /** The hash of the entry before. */
  previous: string
  hash: string
}

/** A join code, by its hash. */
export interface JoinCodeTable {
  code_id: string
  code_hash: string
  /** The public key that the code makes, by which it is shown without being sent; `null` in codes of older versions. */
  join_key: string | null
  role: string
  scopes: string
  name: string | null
  created_at_ms: number
  expires_at_ms: number
  /** The device that it let in. */
  spent_by: string | null
  spent_at_ms: number | null
}

/** A delegation, or a key that one was given to, that is good for nothing any more, with everything below it. */
export interface RevokedDelegationTable {
  /** The device that it stems from. */
  device_id: string
  /** The id of the delegation, or of the holder's key. */
  subject: string
  revoked_at_ms: number
  /** `store-writer`, or a device id. */
  revoked_by: string
}
