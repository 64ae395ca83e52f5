import type { Scope } from './scopes.ts'

/** The protocol numbers of the OpenClaw gateway protocol that we speak. */
export const PROTOCOL_RANGE = { min: 3, max: 4 } as const

/** The first frame of a gateway. `nonce` is good for one `connect` on this socket; `ts` is its clock, in ms. */
export interface ChallengeFrame {
  readonly type: 'event'
  readonly event: 'connect.challenge'
  readonly payload: { readonly nonce: string; readonly ts: number }
}

/** What a client says of itself. Only what the proof family signs may be stored or decided on, and that stands in the proof. */
export interface ClientClaim {
  readonly id: string
  readonly mode: string
  readonly version: string
  readonly platform: string
  readonly deviceFamily: string | null
  readonly displayName: string | null
  readonly instanceId: string | null
}

/** The credentials of a `connect`, as sent. An empty text counts as none. */
export interface AuthClaim {
  readonly token: string | null
  readonly deviceToken: string | null
  readonly bootstrapToken: string | null
  readonly password: string | null
}

/** The device half of a `connect`, as sent: nothing of it is proven yet. */
export interface DeviceClaim {
  readonly id: string
  readonly publicKey: string
  readonly signature: string
  /** Milliseconds since the epoch. */
  readonly signedAtMs: number
  readonly nonce: string | null
}

/** What every `connect` has, whichever way it is proven; each field was held to its alphabet. */
interface AnyConnect {
  readonly minProtocol: number
  readonly maxProtocol: number
  readonly client: ClientClaim
  readonly role: string
  /** In the order sent. */
  readonly scopes: readonly string[]
}

/** A `connect` of the OpenClaw family: the order of its scopes is what was signed. */
export interface OpenClawConnect extends AnyConnect {
  readonly family: 'openclaw'
  readonly auth: AuthClaim
  readonly device: DeviceClaim | null
}

/** The credential of a `holdfast/1` connect, as sent. No secret is in it. */
export type CredentialClaim =
  | { readonly kind: 'device-key' }
  /** HMAC-SHA256 over the transcript, in base64url. */
  | { readonly kind: 'gateway-token'; readonly mac: string }
  /** The public key that the code makes, and its signature over the transcript. */
  | { readonly kind: 'join-code'; readonly key: string; readonly signature: string }
  /** The links, the root's first. What is in them is for rule 11 to say. */
  | { readonly kind: 'delegation'; readonly chain: readonly string[] }

/** The device half of a `holdfast/1` connect, as sent: nothing of it is proven yet. */
export interface HoldfastDeviceClaim {
  readonly id: string
  readonly publicKey: string
  readonly signature: string
  /** The time of the challenge, echoed; ms since the epoch. */
  readonly signedAtMs: number
  readonly nonce: string
  readonly clientNonce: string
  readonly gatewayId: string
  /** What was dialled. */
  readonly address: string
  readonly port: number
}

/** A `connect` of the `holdfast/1` family. */
export interface HoldfastConnect extends AnyConnect {
  readonly family: 'holdfast/1'
  readonly credential: CredentialClaim
  readonly device: HoldfastDeviceClaim
}

export type ConnectParams = OpenClawConnect | HoldfastConnect

/** A call from a client. `connect` is the first of a socket. */
export interface CallFrame {
  readonly type: 'req'
  readonly id: string
  readonly method: string
  readonly params: unknown
}

/** What a failed call is answered with. `details.code` is in OpenClaw's spelling, `details.refusal` in ours. */
export interface PeerError {
  readonly code: string
  readonly message: string
  readonly details?: Readonly<Record<string, unknown>>
  readonly retryable?: boolean
  readonly retryAfterMs?: number
}

/** The answer to the call of the same `id`. */
export type ResponseFrame =
  | { readonly type: 'res'; readonly id: string; readonly ok: true; readonly payload: unknown }
  | { readonly type: 'res'; readonly id: string; readonly ok: false; readonly error: PeerError }

/** Something that a gateway says unasked. */
export interface EventFrame {
  readonly type: 'event'
  readonly event: string
  readonly payload: unknown
}

/** What a gateway says at the end of a good handshake. */
export interface HelloOk {
  readonly type: 'hello-ok'
  readonly protocol: number
  readonly server: { readonly version: string; readonly connId: string }
  readonly features: { readonly methods: readonly string[]; readonly events: readonly string[] }
  readonly snapshot: {
    readonly presence: readonly unknown[]
    readonly health: Readonly<Record<string, unknown>>
    readonly stateVersion: { readonly presence: number; readonly health: number }
    readonly uptimeMs: number
  }
  readonly auth: {
    readonly role: string
    readonly scopes: readonly Scope[]
    readonly deviceToken?: string
    readonly issuedAtMs?: number
  }
  readonly policy: {
    readonly maxPayload: number
    readonly maxBufferedBytes: number
    readonly tickIntervalMs: number
  }
  /** After a `holdfast/1` connect: the gateway's own key, and its signature over the outcome, both in base64url. */
  readonly gateway?: GatewayAnswer
}

/** How a gateway proves that it is the one that was meant. */
export interface GatewayAnswer {
  readonly publicKey: string
  readonly signature: string
}
