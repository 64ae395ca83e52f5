import {
  type EventFrame,
  expandScopes,
  type RefusalCode,
  type ResponseFrame,
  type Role,
  type RoleTable,
  type RuleId,
  type Scope,
} from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import { WebSocket } from 'ws'
import type { GateClock } from './clock.ts'
import type { CallContext, CallHandler, Connection, ConnectionDelegation } from './connection.ts'
import type { EventOutlet } from './gate-events.ts'
import { createGuardedAbort } from './guarded-abort.ts'
import { closeSocket } from './internal/socket-closing.ts'
import type { GateLimits } from './limits.ts'
import type { CallDesk } from './methods.ts'

/** Why the gate ends a connection. */
export type Cut = RefusalCode | 'slow-consumer' | 'unresponsive' | 'messages-unfinished'

/** What a connection is made of. */
export interface Admitted {
  readonly connectionId: string
  readonly deviceId: DeviceId | null
  readonly role: Role
  readonly scopes: readonly Scope[]
  readonly credential: Connection['credential']
  readonly rule: RuleId
  readonly delegation: ConnectionDelegation | null
}

/** What its gate lends to each connection. */
export interface ConnectionHost {
  readonly roles: RoleTable
  readonly limits: GateLimits
  readonly clock: GateClock
  readonly desk: CallDesk
  readonly events: EventOutlet
  /** Does the gate answer calls, or are the frames the author's? */
  readonly answersCalls: boolean
}

/** An admitted peer, as the gate keeps it. */
export class LiveConnection implements Connection {
  readonly deviceId: DeviceId | null
  readonly connectionId: string
  readonly role: Role
  readonly scopes: readonly Scope[]
  readonly credential: Connection['credential']
  readonly rule: RuleId
  readonly socket: WebSocket
  /** Renewed while it lives. */
  delegation: ConnectionDelegation | null
  /** Calls that are being answered. */
  callsInFlight = 0
  callHandler: CallHandler | null = null
  /** Has it been heard of since the last ping? */
  heard = true
  /** Why the gate ended it, or `null`. */
  cutBy: Cut | null = null
  readonly #host: ConnectionHost
  #held: ReadonlySet<string> | null = null
  #ending: AbortController | null = null
  #closeCode: number | null = null
  #closeListeners: Set<(closeCode: number) => void> | null = null

  constructor(socket: WebSocket, admitted: Admitted, host: ConnectionHost) {
    this.socket = socket
    this.connectionId = admitted.connectionId
    this.deviceId = admitted.deviceId
    this.role = admitted.role
    this.scopes = admitted.scopes
    this.credential = admitted.credential
    this.rule = admitted.rule
    this.delegation = admitted.delegation
    this.#host = host
    this.socket.on('pong', () => {
      this.heard = true
    })
    if (host.answersCalls) this.#readCalls()
  }

  /** Are its frames calls that the gate reads, rather than the author's own? */
  get readsCalls(): boolean {
    return this.#host.answersCalls || this.callHandler !== null
  }

  holds(scope: string): boolean {
    this.#held ??= expandScopes(this.#host.roles, this.role, this.scopes)
    return this.#held.has(scope)
  }

  send(event: string, payload: unknown): boolean {
    return this.#write({ type: 'event', event, payload })
  }

  /** The answer to a call; nobody hears it where the connection has ended meanwhile. */
  respond(frame: ResponseFrame): void {
    this.#write(frame)
  }

  /** A frame that is spelled already. `false`: as {@link send} says it. */
  sendText(text: string): boolean {
    if (!this.#isOpen || !this.#hasRoom(text.length)) return false
    this.socket.send(text)
    return true
  }

  onCall(handler: CallHandler): void {
    if (this.callHandler === null && !this.#host.answersCalls) this.#readCalls()
    this.callHandler = handler
  }

  onClose(listener: (closeCode: number) => void): () => void {
    const closeCode = this.#closeCode
    if (closeCode !== null) this.#host.events.run(() => listener(closeCode))
    else {
      this.#closeListeners ??= new Set()
      this.#closeListeners.add(listener)
    }
    return () => void this.#closeListeners?.delete(listener)
  }

  close(closeCode = 1000, reason = ''): void {
    const { clock, limits } = this.#host
    closeSocket(this.socket, { code: closeCode, reason }, { clock, graceMs: limits.closeGraceMs })
  }

  callContext(): CallContext {
    this.#ending ??= createGuardedAbort(listener => this.#host.events.run(listener))
    return { connection: this, signal: this.#ending.signal }
  }

  /**
   * Ends it for good: nothing more is sent but the close, nothing more is heard, and calls under way are aborted. With
   * `deaf` not one more byte is read.
   */
  cut(by: Cut, closeCode: number, reason: string, deaf = false): void {
    if (this.cutBy !== null || this.#closeCode !== null) return
    this.cutBy = by
    const { clock, limits } = this.#host
    // Whoever listens, the author too, hears nothing more of a peer that may do nothing more.
    this.socket.removeAllListeners('message')
    closeSocket(this.socket, { code: closeCode, reason, deaf }, { clock, graceMs: limits.closeGraceMs })
    this.#ending?.abort()
  }

  /** A ping, and where the gate answers calls a `tick`; the end of a peer that has not answered the last one. */
  tick(frame: Buffer): void {
    if (this.socket.readyState !== WebSocket.OPEN) return
    if (!this.heard) {
      this.cut('unresponsive', 1013, 'no answer to a ping')
      return
    }
    this.heard = false
    this.socket.ping()
    if (this.#host.answersCalls && this.#hasRoom(frame.length)) this.socket.send(frame, { binary: false })
  }

  /** The socket is closed. */
  ended(closeCode: number): void {
    this.#closeCode = closeCode
    this.#ending?.abort()
    const listeners = this.#closeListeners ?? []
    this.#closeListeners = null
    for (const listener of listeners) this.#host.events.run(() => listener(closeCode))
  }

  #readCalls(): void {
    this.socket.on('message', (data, isBinary) => {
      this.heard = true
      this.#host.desk.take(isBinary ? null : data.toString(), this)
    })
  }

  get #isOpen(): boolean {
    return this.cutBy === null && this.socket.readyState === WebSocket.OPEN
  }

  #write(frame: ResponseFrame | EventFrame): boolean {
    return this.#isOpen && this.sendText(JSON.stringify(frame))
  }

  #hasRoom(bytes: number): boolean {
    if (this.socket.bufferedAmount + bytes <= this.#host.limits.bufferedBytes) return true
    this.cut('slow-consumer', 1013, 'slow consumer')
    return false
  }
}
