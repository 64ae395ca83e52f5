import type { CallFrame, DelegationLink, Role, RuleId, Scope } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { WebSocket } from 'ws'

/** What the answering of one call knows beside its parameters. */
export interface CallContext {
  readonly connection: Connection
  /** Aborts when the connection ends, for whatever reason: a revocation, too. */
  readonly signal: AbortSignal
}

/** Answers a call: what it returns is the payload. Throw a {@link CallError} to tell the peer of a failure. */
export type CallHandler = (call: CallFrame, context: CallContext) => unknown

/** The right by which a child is connected. */
export interface ConnectionDelegation {
  /** The id of the key that connected: the child's own. */
  readonly holderId: DeviceId
  /** 1: a child of the device; 2: a child of that; … */
  readonly depth: number
  /** Who was given what, from the device's child to the one that is connected. */
  readonly path: readonly DelegationLink[]
  /** When the connection ends, unless it is renewed; ms since the epoch. */
  readonly expiresAtMs: number
  /** The calls that it may make, by name; `null`: whatever its scopes let it. */
  readonly calls: readonly string[] | null
}

/** An admitted peer. */
export interface Connection {
  /** `null`: a peer without a device, over `deviceless`. Of a child: the device that it stems from. */
  readonly deviceId: DeviceId | null
  /** A UUID, different for each connection, of which one device has many. */
  readonly connectionId: string
  readonly role: Role
  /** Exactly what the peer asked for (a deviceless one: exactly what the author fixed). Sorted. */
  readonly scopes: readonly Scope[]
  /** What it showed beside the signature of its device. */
  readonly credential: 'none' | 'gateway-token' | 'device-token' | 'join-code' | 'delegation'
  /**
   * Whose child it is, to which depth and until when; `null`: the device itself. What such a connection does must not outlive
   * it: give it no secrets, and let it approve, invite or reinstate nobody, whatever its scopes. Where the frames are the
   * author's, so are `calls`.
   */
  readonly delegation: ConnectionDelegation | null
  /** The rule that admitted it. */
  readonly rule: RuleId
  /** The socket itself. Its frames are the author's, unless the gate has `methods` or {@link onCall} was called. */
  readonly socket: WebSocket
  /** Does the connection hold this scope, itself or by one that implies it? */
  holds(scope: string): boolean
  /**
   * Sends an event frame. `false`: the connection has ended, or was cut just now since its peer reads too slowly.
   */
  send(event: string, payload: unknown): boolean
  /** Answers calls that no method of the gate answers; from then on the gate reads the frames. One handler at a time. */
  onCall(handler: CallHandler): void
  /** Called once, when the socket is closed; at once where it is already. Returns how to stop listening. */
  onClose(listener: (closeCode: number) => void): () => void
  /** Ends the connection. @defaultValue code 1000 */
  close(closeCode?: number, reason?: string): void
}

/** A failure that the peer is told: any other that a handler throws is reported to it as an internal error, no more. */
export class CallError extends Error {
  override readonly name = 'CallError'
  readonly code: string
  readonly details: Readonly<Record<string, unknown>> | undefined

  /** @param code in upper case, such as `INVALID_REQUEST` or `UNAVAILABLE` */
  constructor(
    code: string,
    message: string,
    options: ErrorOptions & { readonly details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options)
    this.code = code
    this.details = options.details
  }
}
