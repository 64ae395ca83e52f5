import type { Scope } from '@holdfast/handshake'
import type { StoreFlaw } from '@holdfast/pairing-store'

/** What a command can fail at by itself; the packages below have tables of their own. */
export interface CommandFailures {
  /** An option or argument is not what it must be. */
  USAGE: { readonly reason: string }
  /** There is no store where it was looked for, so nothing was ever paired there. */
  STORE_MISSING: { readonly path: string; readonly fix: string }
  /** The store belongs to another user. Nothing was written. */
  OWNER_DIFFERS: {
    readonly path: string
    readonly ownerUid: number
    readonly uid: number
    readonly fix: string
  }
  /** No open request has this id: it was answered, it expired, or it never was. */
  REQUEST_UNKNOWN: { readonly requestId: string; readonly fix: string }
  REQUEST_EXPIRED: { readonly requestId: string; readonly fix: string }
  /** The request is not the one that was shown. */
  REQUEST_CHANGED: { readonly requestId: string; readonly fix: string }
  /** No decision with this id is kept. */
  DECISION_UNKNOWN: { readonly id: string; readonly fix: string }
  /** Nobody is connected by this delegation, and no device was named. */
  DELEGATION_UNKNOWN: { readonly id: string; readonly fix: string }
  DEVICE_UNKNOWN: { readonly deviceId: string; readonly fix: string }
  DEVICE_REVOKED: { readonly deviceId: string; readonly fix: string }
  ROLE_UNKNOWN: { readonly role: string }
  SCOPE_UNKNOWN: { readonly scopes: readonly string[] }
  APPROVER_TOO_SMALL: { readonly missing: readonly Scope[] }
  /** No live join code has this id. */
  CODE_UNKNOWN: { readonly codeId: string; readonly fix: string }
  /** 1,000 join codes wait to be spent. */
  CODES_FULL: { readonly fix: string }
  /** The audit log is not what was written, from this entry on. */
  AUDIT_BROKEN: { readonly path: string; readonly sequence: number; readonly flaw: string }
  /** The store, or the copy of one, is not what was written. */
  STORE_BROKEN: { readonly path: string; readonly flaw: StoreFlaw }
  /** No gateway ever made a token here. */
  TOKEN_MISSING: { readonly path: string; readonly fix: string }
  /** The device has no device token in that role. */
  TOKEN_ABSENT: { readonly deviceId: string; readonly role: string }
  /** There is no identity to export: none was made yet. */
  IDENTITY_ABSENT: { readonly path: string; readonly fix: string }
  /** An identity is set aside only when somebody said so. Nothing was changed. */
  CONFIRMATION_NEEDED: { readonly path: string; readonly deviceId: string | null; readonly fix: string }
  /** The race did not end with one identity, made once. */
  RACE_LOST: {
    readonly processes: number
    readonly deviceIds: number
    readonly created: number
    readonly failed: number
  }
  /** The demonstration did not end as it should. */
  DEMO_FAILED: { readonly reason: string }
}

export type CommandErrorCode = keyof CommandFailures

/** A command that could not do what it was asked. */
export class CommandError<Code extends CommandErrorCode = CommandErrorCode> extends Error {
  override readonly name = 'CommandError'
  readonly code: Code
  readonly detail: CommandFailures[Code]

  constructor(code: Code, detail: CommandFailures[Code], options?: ErrorOptions) {
    super(code, options)
    this.code = code
    this.detail = detail
  }
}
