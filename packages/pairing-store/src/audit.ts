import type { Role } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { PageQuery } from './pairing-store.ts'

/** What was done. Opened, refreshed and expired requests are no change of trust, and not among them. */
export const AUDIT_ACTS = [
  'gateway-token-recorded',
  'settings-written',
  'registration-closed',
  'device-registered',
  'device-approved',
  'join-code-made',
  'join-code-spent',
  'join-code-withdrawn',
  'device-renamed',
  'device-revoked',
  'device-narrowed',
  'device-reinstated',
  'delegation-revoked',
  'device-pruned',
  'request-approved',
  'request-rejected',
  'token-issued',
  'token-rotated',
  'token-promised',
  'token-promoted',
  'token-revoked',
  'store-restored',
  'device-restored',
  'device-held',
  'secrets-removed',
] as const

export type AuditAct = (typeof AUDIT_ACTS)[number]

/** How things stood, as JSON: trust and roles of a device, times of tokens, settings. Never a secret. */
export type AuditState = Readonly<Record<string, unknown>>

/** One change of trust: who did what, from what to what, by which rule, and on which digest. */
export interface AuditEntry {
  /** 1, 2, 3, … without a gap. */
  readonly sequence: number
  /** By the store's clock, in ms since the epoch. */
  readonly atMs: number
  /**
   * `store-writer`, or the device that acted: for what the rules let it do by itself, its own; `deviceless`: a connection
   * without a device.
   */
  readonly by: 'store-writer' | 'deviceless' | DeviceId
  readonly act: AuditAct
  /** The id of the device, request or token generation; `store` for the settings. */
  readonly subject: string
  readonly deviceId: DeviceId | null
  readonly role: Role | null
  readonly from: AuditState | null
  readonly to: AuditState | null
  /** The admission rule that allowed it, where nobody was asked. */
  readonly rule: string | null
  /** The digest of the request that was answered. */
  readonly digest: string | null
  /** Hex SHA-256 over the hash before it and everything above. */
  readonly hash: string
}

/** How far the log goes: kept outside of the store, it shows whether the store is behind what it once was. */
export interface AuditHead {
  readonly storeId: string
  /** 0: no entry yet. */
  readonly sequence: number
  readonly hash: string
}

export interface AuditQuery extends PageQuery {
  readonly deviceId?: string
  readonly by?: string
  readonly act?: AuditAct
  /** From this time on, and before that one, in ms since the epoch. */
  readonly sinceMs?: number
  readonly untilMs?: number
  /** @defaultValue `oldest` first */
  readonly order?: 'oldest' | 'newest'
}

/** What is wrong with the log, at the first entry where it is. */
export type AuditFlaw =
  /** The entry is not the one that was written: it or its number was altered, or it changed places. */
  | 'altered'
  /** It is whole, but does not follow on the one before: that one was rewritten. */
  | 'unchained'
  /** It is not there, though a later one is. */
  | 'missing'
  /** It is not there, and the store or the expected head knows of it. */
  | 'truncated'
  /** It is not the one of the expected head: the log was written anew, or is another store's. */
  | 'head-differs'

export type AuditVerdict =
  /** `unaudited`: how many changes went through without an entry, as `audit: 'when-possible'` lets them. */
  | { readonly outcome: 'intact'; readonly head: AuditHead; readonly unaudited: number }
  | { readonly outcome: 'broken'; readonly sequence: number; readonly flaw: AuditFlaw }
