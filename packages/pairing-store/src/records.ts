import type { PairingReason, Role, RoleDeclarations, Scope, Trust } from '@holdfast/handshake'
import type { DeviceId, PublicKey } from '@holdfast/identity'

/** What a device has in one role. */
export interface DeviceRole {
  readonly role: Role
  /** What a person gave, or `null`: nobody gave anything (a `trusted-local` device lives under the ceiling then). */
  readonly grant: readonly Scope[] | null
  /** What a person narrowed the ceiling to, or `null`. */
  readonly narrowedTo: readonly Scope[] | null
  /** When this role alone was revoked, or `null`. */
  readonly revokedAtMs: number | null
}

/** A device, as this gateway knows it. Times are in ms since the epoch. */
export interface DeviceRecord {
  readonly deviceId: DeviceId
  readonly publicKey: PublicKey
  /** At most 40 characters, without control or direction marks, or `null`. A label that the device chose: no proof of anything. */
  readonly name: string | null
  readonly trust: Trust
  readonly roles: readonly DeviceRole[]
  /** Client id and mode, platform and device family of the proof that registered it; `null` where unsigned or unknown. */
  readonly clientId: string | null
  readonly clientMode: string | null
  readonly platform: string | null
  readonly deviceFamily: string | null
  /** Who let it in: `local` (rule 10), `store-writer` (registerLocal); a person: `request`, `preregistration`, `join-code`. */
  readonly registeredBy: 'local' | 'store-writer' | 'request' | 'preregistration' | 'join-code'
  readonly createdAtMs: number
  /** Written behind, in batches; `null` before the first connection. */
  readonly lastSeenAtMs: number | null
  readonly revokedAtMs: number | null
  /** When it was first admitted by a `holdfast/1` proof, or `null`: from then on nothing weaker will do. */
  readonly holdfastProvenAtMs: number | null
}

/** An unanswered wish: an immutable snapshot but for the two times of its life. */
export interface RequestRecord {
  /** A UUID. */
  readonly requestId: string
  readonly deviceId: DeviceId
  readonly publicKey: PublicKey
  readonly role: Role
  readonly scopes: readonly Scope[]
  /** What the device lacked when the request was opened. */
  readonly missing: readonly Scope[]
  readonly reason: PairingReason
  readonly name: string | null
  readonly clientId: string
  readonly platform: string | null
  readonly originClass: 'none' | 'browser'
  /** The canonical address it came from. */
  readonly source: string
  /** Hex SHA-256 over store id, request id, key, role, sorted scopes, name and origin class. */
  readonly digest: string
  readonly createdAtMs: number
  readonly lastSeenAtMs: number
  readonly expiresAtMs: number
}

/** What may be known of a device's token in one role: never the token. Times are in ms since the epoch. */
export interface DeviceTokenRecord {
  readonly deviceId: DeviceId
  readonly role: Role
  /** When the current one was made. */
  readonly issuedAtMs: number
  /** When the one of a rotation that nobody finished was made, and until when it may be used; `null` where there is none. */
  readonly pending: { readonly issuedAtMs: number; readonly expiresAtMs: number } | null
  /** Since when a new one is promised for the device's next hello, or `null`. */
  readonly promisedAtMs: number | null
}

/** A device token, shown once: what is stored of it is a hash. */
export interface IssuedToken {
  readonly token: string
  readonly deviceId: DeviceId
  readonly role: Role
  readonly issuedAtMs: number
  /** Until when it must be used for the first time, where it is to take the place of another; else `null`. */
  readonly expiresAtMs: number | null
}

/** A join code, without the code: that is shown once, and stored as a hash. Times are in ms since the epoch. */
export interface JoinCodeRecord {
  /** A UUID. */
  readonly codeId: string
  readonly role: Role
  /** What it gives the device that spends it. */
  readonly scopes: readonly Scope[]
  /** The name of the device to come, or `null`. */
  readonly name: string | null
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly spentBy: DeviceId | null
  readonly spentAtMs: number | null
}

/** What is good for nothing any more, with everything below it. */
export interface RevokedDelegation {
  /** The device that it stems from. */
  readonly deviceId: DeviceId
  /** The id of one delegation, or of the key of a holder, whatever it is given from now on. */
  readonly subject: string
  readonly kind: 'delegation' | 'holder'
  /** In ms since the epoch. */
  readonly revokedAtMs: number
}

/**
 * Who changes something. A store-writer holds every scope; a device never gives what it does not hold, and neither does a
 * connection without a device, which holds what the gate's author fixed for such.
 */
export type Actor =
  | { readonly kind: 'store-writer' }
  | { readonly kind: 'deviceless'; readonly role: Role; readonly scopes: readonly Scope[] }
  | {
      readonly kind: 'device'
      readonly deviceId: DeviceId
      readonly role: Role
      readonly scopes: readonly Scope[]
    }

/** What the gate wrote at its last start; command lines and `registerLocal` obey it. */
export interface GatewaySettings {
  readonly roles: RoleDeclarations
  /** `null`: local trust is off. */
  readonly ceiling: readonly string[] | null
}

/** One generation of the gateway token: its commitment, never the secret. */
export interface TokenGeneration {
  readonly generationId: string
  readonly createdAtMs: number
  /** May it still register unknown devices? Closed when a device that it registered is revoked. */
  readonly registers: boolean
}
