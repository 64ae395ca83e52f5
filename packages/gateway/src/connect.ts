import { randomBytes, randomUUID } from 'node:crypto'
import type { Duplex } from 'node:stream'
import {
  answerTo,
  type ConnectionOrigin,
  type ConnectParams,
  type Decision,
  decide,
  type PeerAnswer,
  parseConnect,
  parseWish,
  type Refusal,
  type RuleId,
} from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { Admission } from '@holdfast/pairing-store'
import type { RawData, WebSocket } from 'ws'
import {
  digestOfCredentials,
  factsOfBadFrame,
  negotiate,
  type ReadAttempt,
  readAttempt,
} from './connect-attempt.ts'
import { delegationIn, toConnectionDelegation } from './delegation-watch.ts'
import type { Desk } from './desk.ts'
import { GatewayError } from './errors.ts'
import { faultyPart } from './gate-events.ts'
import type { Place } from './internal/roster.ts'
import { closeSocket } from './internal/socket-closing.ts'
import { LiveConnection } from './live-connection.ts'
import type { Session } from './live-sessions.ts'
import type { LocalEnd } from './own-addresses.ts'
import { socketClassOf } from './upgrade.ts'

/** Which rule refuses: of the upgrade and budget rules, or of the admission rules. */
type RefusingRule = RuleId | '0' | '1'

// ws has closed the socket by itself, with the code of what was wrong in its bytes; the close event follows.
const ignoreError = (): void => undefined

/** Bytes of frame headers and pings around the one frame that may come before authentication. */
const FRAMING_BYTES = 1_024

/**
 * The handshake on one socket: challenge, one `connect`, and `hello-ok` or a refusal. Settles once, with the connection
 * or an error; the peer is told by then.
 */
export class ConnectHandshake {
  readonly #desk: Desk
  readonly #socket: WebSocket
  readonly #raw: Duplex | null
  readonly #origin: ConnectionOrigin
  readonly #end: LocalEnd | null
  readonly #nonce = randomBytes(32).toString('base64url')
  readonly #challengedAtMs: number
  /** Names this socket from its beginning on, so that a refusal can be asked about, too. */
  readonly #connectionId = randomUUID()
  #outcome: LiveConnection | GatewayError | null = null
  #onOutcome: (() => void) | null = null
  #state: 'challenged' | 'deciding' | 'answering' | 'over' = 'challenged'
  #rawBytes = 0
  #callId: string | null = null
  #session: Session | null = null
  #answerNow: (() => void) | null = null
  /** Before authentication; or while it waits for its answer. */
  #place: Place<ConnectHandshake>
  #callOffDeadline: () => void

  constructor(desk: Desk, socket: WebSocket, peer: SocketPeer) {
    this.#desk = desk
    this.#socket = socket
    this.#raw = peer.raw
    this.#origin = peer.origin
    this.#end = peer.end
    this.#challengedAtMs = desk.clock.nowMs()
    this.#raw?.prependListener('data', this.#countBytes)
    socket.on('error', ignoreError)
    socket.on('close', this.#onClose)
    socket.on('message', this.#onMessage)
    const { handshakeMs } = desk.limits
    this.#callOffDeadline = desk.clock.after(handshakeMs, () =>
      this.refuse({ code: 'handshake-timeout', limitMs: handshakeMs }, '0'),
    )
    this.#place = desk.budgets.take(socketClassOf(peer.origin), this)
    const payload = `{"nonce":"${this.#nonce}","ts":${this.#challengedAtMs}}`
    socket.send(`{"type":"event","event":"connect.challenge","payload":${payload}}`)
  }

  /** How it ended. @throws {@link GatewayError} `PEER_REFUSED` or `PEER_LEFT` */
  async outcome(): Promise<LiveConnection> {
    if (this.#outcome === null) {
      await new Promise<void>(resolve => {
        this.#onOutcome = resolve
      })
    }
    if (this.#outcome instanceof LiveConnection) return this.#outcome
    throw this.#outcome
  }

  /** Resolves when its socket is closed, which it must not be yet. */
  closed(): Promise<void> {
    return new Promise(resolve => this.#socket.once('close', () => resolve()))
  }

  #settle(outcome: LiveConnection | GatewayError): void {
    this.#outcome = outcome
    this.#onOutcome?.()
  }

  /** Refuses, and tells the peer: by the answer to its call, or by an event where it has made none that can be read. */
  refuse(refusal: Refusal, rule: RefusingRule, told: Told = {}): void {
    if (this.#state === 'over') return
    if (this.#state === 'answering') {
      this.answerNow()
      return
    }
    this.#callOffDeadline()
    const { events } = this.#desk
    const deviceId = told.deviceId ?? null
    const requestId = refusal.code === 'pairing-required' ? refusal.requestId : null
    const { source } = this.#origin
    events.emit(
      {
        event: 'refused',
        connectionId: this.#connectionId,
        refusal: refusal.code,
        rule,
        deviceId,
        requestId,
        source,
      },
      told.decision ?? null,
    )
    const command =
      requestId !== null && this.#origin.directLocal ? this.#desk.approveCommand(requestId) : undefined
    const answer = answerTo(refusal, { rule, ...(command !== undefined && { command }) })
    const delayMs = told.delayMs ?? 0
    if (delayMs === 0) this.#answer(answer, refusal, rule)
    else this.#answerLater(answer, refusal, rule, delayMs)
  }

  // The peer waits without a place before authentication, so that nobody is kept out by those who guess.
  #answerLater(answer: PeerAnswer, refusal: Refusal, rule: RefusingRule, delayMs: number): void {
    const { waiting, clock } = this.#desk
    this.#state = 'answering'
    const answerNow = () => {
      callOff()
      this.#answerNow = null
      this.#place.leave()
      this.#answer(answer, refusal, rule)
    }
    const callOff = clock.after(delayMs, answerNow)
    this.#answerNow = answerNow
    this.#place.leave()
    this.#place = waiting.take(socketClassOf(this.#origin), this)
  }

  /** The end of waiting, for one that has to make room. */
  answerNow(): void {
    this.#answerNow?.()
  }

  #answer(answer: PeerAnswer, refusal: Refusal, rule: RefusingRule): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    const { error, closeCode, closeReason } = answer
    const frame =
      this.#callId === null
        ? { type: 'event', event: 'connect.refused', payload: { error } }
        : { type: 'res', id: this.#callId, ok: false, error }
    this.#socket.send(JSON.stringify(frame))
    const { clock, limits } = this.#desk
    const deaf = refusal.code === 'frame-too-large'
    closeSocket(
      this.#socket,
      { code: closeCode, reason: closeReason, deaf },
      { clock, graceMs: limits.closeGraceMs },
    )
    this.#leave()
    this.#settle(new GatewayError('PEER_REFUSED', { refusal, rule }))
  }

  /** Its place before authentication is kept until a refused socket is closed: closing slowly must not be free. */
  #leave(): void {
    this.#callOffDeadline()
    this.#socket.removeListener('message', this.#onMessage)
    if (this.#session?.connection === null) this.#desk.sessions.unlist(this.#session)
  }

  // Counted until the peer is admitted or gone: one that was refused could else send on for as long as closing takes.
  readonly #countBytes = (chunk: Buffer): void => {
    this.#rawBytes += chunk.length
    const { connectBytes } = this.#desk.limits
    if (this.#rawBytes <= connectBytes + FRAMING_BYTES) return
    if (this.#state === 'answering' || this.#state === 'over') this.#socket.terminate()
    else this.refuse({ code: 'frame-too-large', limitBytes: connectBytes }, '0')
  }

  readonly #onClose = (closeCode: number): void => {
    this.#place.leave()
    this.#answerNow = null
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#leave()
    this.#settle(new GatewayError('PEER_LEFT', { closeCode }))
  }

  readonly #onMessage = (data: RawData, isBinary: boolean): void => {
    if (this.#state === 'answering' || this.#state === 'over') return
    // ws hands over Buffers unless it is told otherwise.
    const taken = this.#take(data as Buffer, isBinary)
    if (!('refused' in taken)) void this.#decide(taken)
    else if (taken.refused.code === 'frame-too-large') this.refuse(taken.refused, '0')
    else this.#refuseFrame(taken.refused)
  }

  #take(frame: Buffer, isBinary: boolean): ConnectParams | { readonly refused: Refusal } {
    if (this.#state !== 'challenged') return { refused: { code: 'connect-repeated' } }
    this.#state = 'deciding'
    if (isBinary) return { refused: { code: 'malformed', problem: { kind: 'not-a-request' } } }
    const { connectBytes } = this.#desk.limits
    if (frame.length > connectBytes) return { refused: { code: 'frame-too-large', limitBytes: connectBytes } }
    const reading = parseConnect(frame.toString())
    this.#callId = reading.id
    return reading.ok ? reading.params : { refused: { code: 'malformed', problem: reading.problem } }
  }

  #refuseFrame(refusal: Refusal): void {
    const facts = factsOfBadFrame(refusal, { origin: this.#origin, policy: this.#desk.policy })
    this.#refuseBy(decide(facts), refusal)
  }

  #refuseBy(decision: Decision, refusal: Refusal, told: Told = {}): void {
    this.refuse(refusal, decision.rule, { ...told, decision })
  }

  async #decide(params: ConnectParams): Promise<void> {
    const desk = this.#desk
    const protocol = negotiate(params)
    if (protocol === null) return this.#refuseFrame({ code: 'protocol-mismatch' })
    const wish = parseWish(desk.policy.roles, params.role, params.scopes)
    if (wish === null) return this.#refuseFrame({ code: 'wish-unknown' })
    try {
      const preparing = desk.preparing()
      if (preparing !== null) await preparing
      const token = await desk.token.read()
      if (this.#state !== 'deciding') return
      const { attempt, answerFor } = readAttempt(params, wish, {
        origin: this.#origin,
        policy: desk.policy,
        token,
        nonce: this.#nonce,
        challengedAtMs: this.#challengedAtMs,
        nowMs: desk.clock.nowMs(),
        identity: desk.identity,
        isOwnAddress: dialled => desk.addresses.includes(dialled, this.#end),
        readPublicKey: text => desk.keys.read(text),
      })
      const session = desk.sessions.list(attempt)
      this.#session = session
      if (this.#isTooMany(session)) {
        this.refuse({ code: 'sockets-full' }, '0', { deviceId: session.deviceId })
        return
      }
      const admission = await desk.store.admit(attempt)
      desk.sessions.noteSuccess()
      this.#conclude(admission, session, { params, protocol, answerFor })
    } catch (error) {
      const part = faultyPart(error)
      if (part === 'store') desk.sessions.noteFailure(error)
      else desk.events.fault(part, error)
      this.refuse({ code: 'store-unavailable' }, '0')
    }
  }

  #conclude(admission: Admission, session: Session, asked: Asked & { readonly params: ConnectParams }): void {
    const deviceId = session.deviceId
    if (admission.outcome === 'refused') {
      const { decision, refusal, opened } = admission
      if (opened !== null) this.#desk.events.emit({ event: 'request', request: opened }, decision)
      if (this.#state !== 'deciding') return
      const delayMs = decision.rule === '3' ? this.#delayOf(asked.params) : 0
      this.#refuseBy(decision, refusal, { deviceId, delayMs })
    } else if (this.#state === 'deciding') {
      const excess = this.#excess(admission, session)
      if (excess === null) this.#admit(admission, session, asked)
      else this.#refuseBy(admission.decision, excess, { deviceId })
    }
  }

  /** Of a child only now is known whose it is, and so how many there are. */
  #excess({ decision }: Admission, session: Session): Refusal | null {
    const delegation = delegationIn(decision)
    if (delegation === null) return null
    const { sessions, limits, delegations } = this.#desk
    if (sessions.isFull(session, limits.connectionsPerDevice)) return { code: 'sockets-full' }
    return delegations.excess(session, delegation)
  }

  #admit(admission: Admission & { outcome: 'admitted' }, session: Session, asked: Asked): void {
    const desk = this.#desk
    const { deviceId, scopes, registered, generationId, deviceToken, decision } = admission
    const { role } = session.attempt.frame.wish
    const { rule } = decision
    const credential = decision.facts.credential.kind
    // Rule 3 comes before every admission.
    if (credential === 'wrong') throw new TypeError('admitted with a wrong credential')
    const verified = delegationIn(decision)
    const delegation = verified === null ? null : toConnectionDelegation(verified)
    const connectionId = this.#connectionId
    const admitted = { connectionId, deviceId, role, scopes, credential, rule, delegation }
    const connection = new LiveConnection(this.#socket, admitted, desk.host)
    session.generationId = generationId
    session.connection = connection
    this.#state = 'over'
    this.#leave()
    this.#raw?.removeListener('data', this.#countBytes)
    if (this.#raw !== null) desk.unfinished.watch(this.#raw, connection)
    this.#place.leave()
    this.#socket.removeListener('close', this.#onClose)
    this.#socket.on('close', closeCode => {
      desk.sessions.unlist(session)
      desk.events.emit({ event: 'closed', connectionId, deviceId, closeCode, cut: connection.cutBy })
      connection.ended(closeCode)
    })
    const { source } = this.#origin
    desk.events.emit(
      {
        event: 'admitted',
        connectionId,
        deviceId,
        role,
        scopes,
        rule,
        registered,
        source,
        ...(delegation !== null && {
          delegation: { holderId: delegation.holderId, depth: delegation.depth },
        }),
      },
      decision,
    )
    desk.introduce(connection)
    if (delegation !== null) desk.delegations.follow(connection)
    const told = {
      protocol: asked.protocol,
      connectionId,
      role,
      scopes,
      uptimeMs: desk.clock.nowMs() - desk.startedAtMs,
      deviceToken,
      answer: asked.answerFor({ connectionId, role, scopes }),
    }
    if (this.#callId !== null) connection.sendText(desk.hello.write(this.#callId, told))
    if (deviceId !== null) desk.store.noteSeen(deviceId)
    const { proof } = session.attempt
    if (proof.verdict === 'verified') desk.keys.remember(proof.proof.publicKey)
    // A change that came while the facts were read or the hello was made: the rules are asked again.
    if (session.stale) void desk.sessions.review(session)
    this.#settle(connection)
  }

  /** Before the store is asked: it might hand out a token, which nobody would get. */
  #isTooMany(session: Session): boolean {
    const { sessions, limits, policy } = this.#desk
    if (session.deviceId === null && policy.deviceless === null) return false
    if (session.isDelegated) return false
    return sessions.isFull(session, limits.connectionsPerDevice)
  }

  #delayOf(params: ConnectParams): number {
    const digest = digestOfCredentials(params)
    return this.#desk.delays.delayFor(this.#origin.source, digest, this.#desk.clock.nowMs())
  }
}

/** Who is at the other end of a socket, and which end is ours. */
export interface SocketPeer {
  readonly origin: ConnectionOrigin
  readonly raw: Duplex | null
  /** `null` where whoever upgraded the socket does not say. */
  readonly end: LocalEnd | null
}

/** What a `connect` asked for beside its wish. */
interface Asked extends Pick<ReadAttempt, 'answerFor'> {
  readonly protocol: number
}

/** What goes with a refusal, beside its reason. */
interface Told {
  /** Only where the device has proven it. */
  readonly deviceId?: DeviceId | null
  readonly decision?: Decision
  readonly delayMs?: number
}
