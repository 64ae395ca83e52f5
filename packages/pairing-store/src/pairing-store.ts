import type {
  AdmissionPolicy,
  ConnectionOrigin,
  Decision,
  PresentedCredential,
  ProofVerdict,
  Refusal,
  Scope,
} from '@holdfast/handshake'
import type { DeviceId, DeviceIdentity, PublicKey } from '@holdfast/identity'
import type { AuditEntry, AuditHead, AuditQuery, AuditVerdict } from './audit.ts'
import type { ChangeListener } from './changes.ts'
import type {
  Actor,
  DeviceRecord,
  DeviceTokenRecord,
  GatewaySettings,
  IssuedToken,
  JoinCodeRecord,
  RequestRecord,
  RevokedDelegation,
  TokenGeneration,
} from './records.ts'

/** One well-formed `connect`, as the gate saw it. */
export interface AdmissionAttempt {
  readonly frame: Extract<Decision['facts']['frame'], { readonly ok: true }>
  readonly proof: ProofVerdict
  readonly credential: PresentedCredential
  readonly origin: ConnectionOrigin
  readonly policy: AdmissionPolicy
  /** The name that the peer gives itself, or `null`. Cleaned before it is stored. */
  readonly name: string | null
  /** The device id in the frame, proven or not: a device token is looked up under it. @defaultValue the proven one */
  readonly claimedDeviceId?: DeviceId | null
  /**
   * Shall a device that shows the gateway token be handed a device token, where its role has none? @defaultValue false
   */
  readonly handsOutToken?: boolean
}

export type Admission =
  | {
      readonly outcome: 'admitted'
      readonly decision: Decision
      /** `null`: a peer without a device (rule 4). For a child with a delegation, the device that it stems from. */
      readonly deviceId: DeviceId | null
      readonly scopes: readonly Scope[]
      /** Did this very attempt register the device? */
      readonly registered: boolean
      /** The generation of the gateway token that was shown, or `null`. */
      readonly generationId: string | null
      /** The device token that was made for it, or `null`: shown here once, and stored as a hash. */
      readonly deviceToken: IssuedToken | null
    }
  | {
      readonly outcome: 'refused'
      readonly decision: Decision
      readonly refusal: Refusal
      /** The request that this attempt opened; `null` where it opened none (a retry only refreshes its own). */
      readonly opened: RequestRecord | null
    }

export type RegisterAnswer =
  | { readonly outcome: 'registered' | 'known'; readonly device: DeviceRecord }
  | {
      readonly outcome: 'refused'
      readonly reason:
        | 'token-mismatch'
        | 'registration-closed'
        | 'local-trust-off'
        | 'device-revoked'
        | 'role-unknown'
    }

export type ApproveAnswer =
  | { readonly outcome: 'approved'; readonly request: RequestRecord; readonly device: DeviceRecord }
  | { readonly outcome: 'unknown' | 'expired' | 'digest-mismatch' | 'device-revoked' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

export type RejectAnswer =
  | { readonly outcome: 'rejected'; readonly request: RequestRecord }
  | { readonly outcome: 'unknown' | 'expired' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

export type DeviceAnswer =
  | { readonly outcome: 'changed' | 'unchanged'; readonly device: DeviceRecord }
  | { readonly outcome: 'unknown' | 'role-unknown' | 'scope-unknown' | 'device-revoked' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

export type RevokeRegisteredAnswer =
  | { readonly outcome: 'revoked'; readonly deviceIds: readonly DeviceId[] }
  /** No gateway token of that generation was ever recorded. */
  | { readonly outcome: 'unknown' }

export type TokenAnswer =
  | {
      readonly outcome: 'issued' | 'rotated'
      readonly issued: IssuedToken
      /** What the device may have in the role now. A token carries no scopes of its own and changes nothing about them. */
      readonly scopes: readonly Scope[]
    }
  /** The device gets it with its next hello under the gateway token; until then nothing changes. */
  | { readonly outcome: 'promised'; readonly scopes: readonly Scope[] }
  | { readonly outcome: 'revoked'; readonly revokedAtMs: number }
  /** Somebody else was given a new one a moment ago, and it was not used yet: that one stays. */
  | { readonly outcome: 'rotation-pending'; readonly retryAfterMs: number }
  /** Issuing: there is a live one, which stays. Rotating, revoking: there is none. */
  | { readonly outcome: 'token-live' | 'token-absent' }
  | { readonly outcome: 'unknown' | 'role-unknown' | 'scope-unknown' | 'device-revoked' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

export type JoinCodeAnswer =
  /** `code` is shown here once. */
  | { readonly outcome: 'made'; readonly code: string; readonly joinCode: JoinCodeRecord }
  /** 1,000 are waiting to be spent. */
  | { readonly outcome: 'codes-full' }
  | { readonly outcome: 'role-unknown' | 'scope-unknown' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

export type WithdrawAnswer =
  | { readonly outcome: 'withdrawn'; readonly joinCode: JoinCodeRecord }
  | { readonly outcome: 'unknown' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

export type PreregisterAnswer =
  /** `known`: it is there already, and stays as it is. */
  | { readonly outcome: 'registered' | 'known'; readonly device: DeviceRecord }
  | { readonly outcome: 'role-unknown' | 'scope-unknown' | 'device-revoked' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

export type RevokeDelegationAnswer =
  | { readonly outcome: 'revoked' | 'unchanged'; readonly revoked: RevokedDelegation }
  /** The device is. */
  | { readonly outcome: 'unknown' }
  /** It is neither the id of a delegation nor that of a key. */
  | { readonly outcome: 'subject-unknown' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

/** One page of a list. `next` is the cursor of the page after it, or `null`. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | null
}

export interface PageQuery {
  /** @defaultValue 100; at most 1,000 */
  readonly limit?: number
  readonly after?: string
}

export interface DeviceQuery extends PageQuery {
  /**
   * Only devices whose id or whose name begins with this text: first those by their ids, then those by their names, each
   * once. Of ASCII letters, large and small are the same. Nothing in it stands for anything else. @defaultValue all
   */
  readonly search?: string
}

/**
 * Who is trusted, and with what. Every mutation is one transaction that reads what it decides on, so a gateway and a
 * command line may write at the same time; what was acknowledged survives `kill -9`.
 *
 * Every method @throws {@link PairingStoreError}: `STORE_BUSY`, `STORE_UNREADABLE`, … (see the table of codes).
 */
export interface PairingStore {
  /** A random id, made with the store. */
  readonly storeId: string

  /** The gateway token as it is now: records its generation and makes it the current one. May run before any gateway. */
  putGatewayToken(token: string): Promise<TokenGeneration>
  /** The current generation, or `null` before the first. */
  findGatewayToken(): Promise<TokenGeneration | null>
  /** What command lines obey. Written by a gate at its start. */
  putSettings(settings: GatewaySettings): Promise<void>
  /** The settings as last written; before a first start `StoreOptions.roles`, else the built-in table. */
  getSettings(): Promise<GatewaySettings>

  /**
   * Decide a `connect` by the rules, on facts read now; register the device or open a request where they say so, in one
   * transaction in which they are asked again.
   */
  admit(attempt: AdmissionAttempt): Promise<Admission>
  /** What the rules say now of an admitted connection, by its device alone: no credential, nothing written. */
  review(attempt: AdmissionAttempt): Promise<Decision>

  /** For a host that opens the store itself: the identity is born trusted. The store makes the nonce, the identity signs it. */
  registerLocal(options: {
    readonly identity: DeviceIdentity
    readonly gatewayToken: string
    readonly role: string
    readonly name?: string
  }): Promise<RegisterAnswer>

  /** A device of a host where nobody can approve: known by its public key, with this grant, before it ever connects. */
  preregisterDevice(options: {
    readonly by: Actor
    readonly publicKey: PublicKey
    readonly role: string
    readonly scopes: readonly string[]
    readonly name?: string
  }): Promise<PreregisterAnswer>
  /**
   * A secret for a host where nobody can approve, and whose key is not known: the first device that shows it has this
   * grant from then on, and nobody else ever does.
   */
  createJoinCode(options: {
    readonly by: Actor
    readonly role: string
    readonly scopes: readonly string[]
    /** In ms. @defaultValue 600000, which is the most there is */
    readonly ttlMs?: number
    /** How the device is to be called. */
    readonly name?: string
  }): Promise<JoinCodeAnswer>
  /** Those that are live, spent or not, the oldest first. */
  listJoinCodes(): Promise<readonly JoinCodeRecord[]>
  /** It can be shown no more. What it gave already stays: {@link revokeDevice} takes that. */
  withdrawJoinCode(codeId: string, options: { readonly by: Actor }): Promise<WithdrawAnswer>

  /** In the order of their ids, unless they are searched. */
  listDevices(query?: DeviceQuery): Promise<Page<DeviceRecord>>
  findDevice(deviceId: DeviceId): Promise<DeviceRecord | null>
  renameDevice(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly name: string },
  ): Promise<DeviceAnswer>
  /** A tombstone for the device, or for one role of it. Nothing but {@link reinstateDevice} lifts it. */
  revokeDevice(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly role?: string; readonly keepRegistration?: boolean },
  ): Promise<DeviceAnswer>
  /**
   * For a gateway token that others got to know: revokes, in one step, whatever registered itself under that generation,
   * and closes it. Only whoever may write the store may do so.
   */
  revokeRegistered(
    generationId: string,
    options: { readonly by: Extract<Actor, { readonly kind: 'store-writer' }> },
  ): Promise<RevokeRegisteredAnswer>
  /** Less than the ceiling, and of the grant no more than this, for one role of one device. */
  narrowDevice(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly role: string; readonly scopes: readonly string[] },
  ): Promise<DeviceAnswer>
  /** Lifts the tombstones: the former trust comes back, without grants. */
  reinstateDevice(deviceId: DeviceId, options: { readonly by: Actor }): Promise<DeviceAnswer>
  /**
   * One delegation that stems from the device, or the key of a holder, is good for nothing from now on, and no more is
   * whatever was delegated below it. The store need not have heard of it before.
   */
  revokeDelegation(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly subject: string },
  ): Promise<RevokeDelegationAnswer>
  /** Those of one device, the oldest first. */
  listRevokedDelegations(deviceId: DeviceId): Promise<readonly RevokedDelegation[]>
  /**
   * Forgets devices that were not seen since that time (since they were made, where they never were): each is as unknown
   * as before it first came, and cut where it is connected still. Tombstones and whatever is narrowed stay. Only whoever
   * may write the store may do so. `onProgress` is told how many are gone, as the work goes on.
   */
  pruneDevices(options: {
    readonly by: Extract<Actor, { readonly kind: 'store-writer' }>
    readonly notSeenSinceMs: number
    readonly onProgress?: (pruned: number) => void
  }): Promise<{ readonly pruned: number }>
  /**
   * A device token for a role that has none. It may be shown beside a proof of that device, in that role, instead of the
   * gateway token; it gives no authority of its own, and dies with the device's or the role's.
   */
  issueDeviceToken(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly role: string },
  ): Promise<TokenAnswer>
  /**
   * A new token beside the current one. Its first use makes it the current one, and the former stays good for 60 s more;
   * where it is not used within a week it is void, and the current one was never touched.
   */
  rotateDeviceToken(
    deviceId: DeviceId,
    options: {
      readonly by: Actor
      readonly role: string
      /** What the caller takes the token to be good for: refused where the device, or the caller, does not reach that far. */
      readonly scopes?: readonly string[]
      /** `hello`: nobody sees it but the device, at its next hello under the gateway token. @defaultValue 'answer' */
      readonly delivery?: 'answer' | 'hello'
    },
  ): Promise<TokenAnswer>
  /** Every token of the device in that role is void. No live connection ends by it: {@link revokeDevice} does that. */
  revokeDeviceToken(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly role: string },
  ): Promise<TokenAnswer>
  listDeviceTokens(deviceId: DeviceId): Promise<readonly DeviceTokenRecord[]>
  /** A connection was seen. Written behind, in batches. */
  noteSeen(deviceId: DeviceId): void

  listRequests(query?: PageQuery): Promise<Page<RequestRecord>>
  findRequest(requestId: string): Promise<RequestRecord | null>
  /** `by` is required: nobody gives what they do not hold. The digest is the one that the approver was shown. */
  approveRequest(
    requestId: string,
    options: { readonly by: Actor; readonly expectedDigest: string },
  ): Promise<ApproveAnswer>
  rejectRequest(requestId: string, options: { readonly by: Actor }): Promise<RejectAnswer>

  /** The changes of trust, each with who, what, from, to and by which rule. */
  listAudit(query?: AuditQuery): Promise<Page<AuditEntry>>
  /** How far the audit log goes now. Whoever keeps it elsewhere can tell later that something is gone. */
  findAuditHead(): Promise<AuditHead>
  /** Goes through the whole log. With a head that was kept elsewhere it also finds a log that was cut off or written anew. */
  verifyAudit(options?: { readonly expectedHead?: AuditHead }): Promise<AuditVerdict>
  /** Resolves where the log goes on from this head. @throws {@link PairingStoreError} `STORE_ROLLED_BACK` where it does not */
  requireAuditHead(head: AuditHead): Promise<void>

  /**
   * Told of every change from now on, whichever process made it, once and in commit order: this process's own before the
   * call that made it resolves, another's within 100 ms or so. Returns how to stop.
   */
  subscribe(listener: ChangeListener): () => void
  /** Writes what is behind, and lets go of the file. Further calls reject with `STORE_CLOSED`. */
  close(): Promise<void>
}
