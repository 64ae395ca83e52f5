import { randomInt } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import {
  type AdmissionPolicy,
  answerTo,
  canonicalAddress,
  decideUpgrade,
  defineRoles,
  type RoleTable,
  type Scope,
  type UpgradeDecision,
  type UpgradePolicy,
} from '@holdfast/handshake'
import { type WebSocket, WebSocketServer } from 'ws'
import { AuditWatch } from './audit-watch.ts'
import { Budgets } from './budgets.ts'
import { type GateClock, systemClock } from './clock.ts'
import { ConnectHandshake, type SocketPeer } from './connect.ts'
import type { Connection } from './connection.ts'
import { type DelegationTree, delegationTrees } from './delegation-tree.ts'
import { DelegationWatch } from './delegation-watch.ts'
import type { Desk } from './desk.ts'
import { GatewayError } from './errors.ts'
import { EventOutlet, faultyPart, type GateListener } from './gate-events.ts'
import { checkScopeOptions, type GateOptions } from './gate-options.ts'
import { CurrentToken } from './gateway-token.ts'
import { HelloWriter } from './hello.ts'
import { KnownKeys } from './internal/known-keys.ts'
import { Roster } from './internal/roster.ts'
import { closeSocket, ReasonedSocket } from './internal/socket-closing.ts'
import { completeLimits, type GateLimits } from './limits.ts'
import type { LiveConnection } from './live-connection.ts'
import { cut, LiveSessions } from './live-sessions.ts'
import { CallDesk } from './methods.ts'
import { type LocalEnd, OwnAddresses } from './own-addresses.ts'
import { TokenWatch } from './token-watch.ts'
import { UnfinishedMessages } from './unfinished-messages.ts'
import { type GatePeer, headersOfPeer, headersOfRequest, refuseUpgrade, upgradePolicyOf } from './upgrade.ts'
import { WrongTokenDelays } from './wrong-token-delay.ts'

/** The gate of a WebSocket server: nobody gets a connection but by the rules of `@holdfast/handshake`. */
export interface Gate {
  /**
   * Resolves once the store has the gate's settings and token. Until then nobody is admitted; where it rejects, nobody is
   * either, and each `connect` tries again.
   *
   * @throws {@link GatewayError} `IDENTITY_IS_DEVICE`, `GATEWAY_TOKEN_WEAK`; and the store's own errors, such as
   * `STORE_ROLLED_BACK`
   */
  readonly ready: Promise<void>
  /** Take the WebSocket upgrades of this server, all of them. Returns how to let go of it. */
  attach(server: Server | TlsServer): () => void
  /** Take one upgrade, from a server's `upgrade` event. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /**
   * Take a socket that the server has upgraded itself. Its `maxPayload` is the server's own affair. Give `address` and
   * `headers` as the upgrade request had them: whoever leaves out a forwarding header makes a remote peer local.
   *
   * @throws {@link GatewayError} `PEER_REFUSED`, `PEER_LEFT`, `GATE_CLOSED`
   */
  accept(socket: WebSocket, peer: GatePeer): Promise<Connection>
  /** Told of each admitted connection before its `hello-ok` is sent. Returns how to stop. */
  onConnection(listener: (connection: Connection) => void): () => void
  /** Told of everything that the gate does; the same goes to the diagnostics channel `holdfast:gateway`. */
  onEvent(listener: GateListener): () => void
  /** The admitted connections, now; not those that were cut and are closing. */
  connections(): readonly Connection[]
  /** Who is connected by a right that stems from which device, and who started whom. */
  delegations(): readonly DelegationTree[]
  /** Ends all sockets with 1012, which clients retry. Resolves when they are closed. Does not close the store. */
  close(): Promise<void>
}

/**
 * A gate over a store: it challenges each socket, verifies one `connect`, admits or refuses by the rules and says why,
 * and ends live connections whose device or token the store no longer trusts.
 *
 * @throws TypeError where an option is not what it must be; `trustedLocal` has no default.
 * @throws {@link GatewayError} `GATEWAY_TOKEN_WEAK`, where the token is given as text.
 * @throws {@link HandshakeError} `ROLES_INVALID`
 */
export function createGate(options: GateOptions): Gate {
  return new WebSocketGate(options)
}

/** Each piece of a message costs memory beside its bytes. */
const BYTES_PER_PIECE = 256
const FRAGMENTS_PER_MESSAGE = 1_024
/** 1.5 KB each. */
const KNOWN_KEYS = 1_024

class WebSocketGate implements Gate {
  readonly ready: Promise<void>
  readonly #options: GateOptions
  readonly #roles: RoleTable
  readonly #upgradePolicy: UpgradePolicy
  readonly #addresses: OwnAddresses
  readonly #limits: GateLimits
  readonly #clock: GateClock
  readonly #patience: { readonly clock: GateClock; readonly graceMs: number }
  readonly #events: EventOutlet
  readonly #sessions: LiveSessions
  readonly #token: CurrentToken
  readonly #tokenWatch: TokenWatch
  readonly #audit: AuditWatch | null
  readonly #desk: Desk
  readonly #server: WebSocketServer
  /** Of every socket that is not closed yet. */
  readonly #handshakes = new Roster<ConnectHandshake>()
  readonly #connectionListeners = new Set<(connection: Connection) => void>()
  readonly #detach = new Set<() => void>()
  #isPrepared = false
  #preparing: Promise<void>
  #callOffTick: () => void = () => undefined
  #isClosed = false

  constructor(options: GateOptions) {
    this.#options = options
    this.#roles = defineRoles(options.roles)
    checkScopeOptions(options, this.#roles)
    this.#limits = completeLimits(options.limits ?? {})
    this.#clock = options.clock ?? systemClock
    this.#patience = { clock: this.#clock, graceMs: this.#limits.closeGraceMs }
    this.#upgradePolicy = upgradePolicyOf(options)
    this.#addresses = new OwnAddresses(options.publicAddresses ?? [])
    this.#events = new EventOutlet(this)
    this.#token = new CurrentToken(options.gatewayToken, options.store)
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: this.#limits.frameBytes,
      maxFragments: FRAGMENTS_PER_MESSAGE,
      maxBufferedChunks: Math.max(1_024, Math.ceil(this.#limits.frameBytes / BYTES_PER_PIECE)),
      WebSocket: ReasonedSocket,
    })
    const { storeLossMs } = this.#limits
    const { store } = options
    this.#sessions = new LiveSessions({ store, clock: this.#clock, events: this.#events, storeLossMs })
    const { auditHead: keeper } = options
    const watched = { store, clock: this.#clock, events: this.#events }
    this.#tokenWatch = new TokenWatch({ ...watched, token: this.#token })
    this.#audit = keeper === undefined ? null : new AuditWatch({ ...watched, keeper })
    this.#desk = this.#openDesk()
    this.#preparing = this.#prepare()
    this.ready = this.#preparing
    // Reported as an event, and to each peer; a host that does not look at `ready` is not ended by it.
    this.ready.catch(error => this.#events.fault(faultyPart(error), error))
    this.#scheduleTick()
  }

  attach(server: Server | TlsServer): () => void {
    const listener = (request: IncomingMessage, socket: Duplex, head: Buffer): void =>
      this.handleUpgrade(request, socket, head)
    server.on('upgrade', listener)
    const detach = () => {
      server.off('upgrade', listener)
      this.#detach.delete(detach)
    }
    this.#detach.add(detach)
    return detach
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#isClosed) {
      refuseUpgrade(socket, { status: 503, refusal: { code: 'shutting-down' } }, this.#patience)
      return
    }
    const facts = {
      peerAddress: request.socket.remoteAddress ?? '',
      headers: headersOfRequest(request),
      policy: this.#upgradePolicy,
    }
    const decision = decideUpgrade(facts)
    if (decision.outcome === 'refused') {
      this.#reportUpgrade(decision, facts.peerAddress)
      refuseUpgrade(socket, decision, this.#patience)
      return
    }
    const end = localEndOf(request)
    // The answer to the upgrade and the challenge leave together: one write to the socket instead of two.
    socket.cork()
    this.#server.handleUpgrade(request, socket, head, upgraded => {
      this.#begin(upgraded, { origin: decision.origin, raw: socket, end })
    })
    socket.uncork()
  }

  async accept(socket: WebSocket, peer: GatePeer): Promise<Connection> {
    // Until the handshake listens by itself: an error without a listener would end the process.
    socket.on('error', () => undefined)
    if (this.#isClosed) {
      closeSocket(socket, { code: 1012, reason: 'gateway shutting down' }, this.#patience)
      throw new GatewayError('GATE_CLOSED', {})
    }
    const facts = { peerAddress: peer.address, headers: headersOfPeer(peer), policy: this.#upgradePolicy }
    const decision = decideUpgrade(facts)
    if (decision.outcome === 'refused') {
      this.#reportUpgrade(decision, facts.peerAddress)
      const { closeCode, closeReason } = answerTo(decision.refusal, { rule: '1' })
      closeSocket(socket, { code: closeCode, reason: closeReason }, this.#patience)
      throw new GatewayError('PEER_REFUSED', { refusal: decision.refusal, rule: '1' })
    }
    return this.#begin(socket, { origin: decision.origin, raw: null, end: peer.local ?? null }).outcome()
  }

  onConnection(listener: (connection: Connection) => void): () => void {
    this.#connectionListeners.add(listener)
    return () => this.#connectionListeners.delete(listener)
  }

  onEvent(listener: GateListener): () => void {
    return this.#events.listen(listener)
  }

  connections(): readonly Connection[] {
    return this.#sessions.connections().filter(connection => connection.cutBy === null)
  }

  delegations(): readonly DelegationTree[] {
    return delegationTrees(this.connections())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const detach of this.#detach) detach()
    this.#callOffTick()
    this.#tokenWatch.close()
    this.#sessions.close()
    const handshakes = this.#handshakes.list()
    const closed = handshakes.map(handshake => handshake.closed())
    for (const handshake of handshakes) handshake.refuse({ code: 'shutting-down' }, '0')
    for (const connection of this.#sessions.connections()) cut(connection, { code: 'shutting-down' })
    await Promise.all(closed)
    await this.#audit?.close()
  }

  #openDesk(): Desk {
    const { store, identity, methods = {}, trustedLocal, deviceless, approveCommand } = this.#options
    const limits = this.#limits
    const policy: AdmissionPolicy = {
      roles: this.#roles,
      ceiling: trustedLocal === false ? null : ([...trustedLocal.ceiling] as Scope[]),
      deviceless: deviceless === undefined ? null : ([...deviceless.scopes] as Scope[]),
      allowOpenClawProof: this.#options.allowOpenClawProof ?? false,
    }
    const watched = { store, identity, clock: this.#clock, sessions: this.#sessions, events: this.#events }
    const delegations = new DelegationWatch(watched)
    const callDesk = new CallDesk(
      { ...delegations.methods, ...methods },
      { events: this.#events, callsInFlight: limits.callsInFlight },
    )
    return {
      store,
      identity,
      addresses: this.#addresses,
      keys: new KnownKeys(KNOWN_KEYS),
      policy,
      limits,
      clock: this.#clock,
      token: this.#token,
      budgets: new Budgets({
        limit: limits.unauthenticatedSockets,
        random: below => randomInt(below),
        evict: handshake => handshake.refuse({ code: 'sockets-full' }, '0'),
      }),
      waiting: new Budgets({
        limit: limits.waitingForAnswer,
        random: below => randomInt(below),
        evict: handshake => handshake.answerNow(),
      }),
      delays: new WrongTokenDelays(limits.wrongTokenDelayMs),
      sessions: this.#sessions,
      delegations,
      unfinished: new UnfinishedMessages(limits),
      events: this.#events,
      host: {
        roles: this.#roles,
        limits,
        clock: this.#clock,
        desk: callDesk,
        events: this.#events,
        answersCalls: this.#options.methods !== undefined,
      },
      approveCommand: approveCommand ?? (requestId => `holdfast approve ${requestId}`),
      preparing: () => (this.#isPrepared ? null : this.#prepared()),
      hello: new HelloWriter({ limits, methods: Object.keys(methods) }),
      startedAtMs: this.#clock.nowMs(),
      introduce: connection => this.#introduce(connection),
    }
  }

  #begin(socket: WebSocket, peer: SocketPeer): ConnectHandshake {
    const handshake = new ConnectHandshake(this.#desk, socket, peer)
    const place = this.#handshakes.add(handshake)
    socket.once('close', () => place.leave())
    return handshake
  }

  #introduce(connection: LiveConnection): void {
    for (const listener of this.#connectionListeners) this.#events.run(() => listener(connection))
  }

  #reportUpgrade(decision: UpgradeDecision & { readonly outcome: 'refused' }, peerAddress: string): void {
    const { rule, refusal } = decision
    const source = canonicalAddress(peerAddress) ?? 'unknown'
    const event = { event: 'refused', refusal: refusal.code, rule, source } as const
    this.#events.emit({ ...event, connectionId: null, deviceId: null, requestId: null })
  }

  async #prepared(): Promise<void> {
    const attempt = this.#preparing
    try {
      await attempt
    } catch {
      // Whoever comes first after a failure tries again, for all who wait.
      if (this.#preparing === attempt) this.#preparing = this.#prepare()
      await this.#preparing
    }
  }

  async #prepare(): Promise<void> {
    const { store, identity, trustedLocal, roles } = this.#options
    if ((await store.findDevice(identity.id)) !== null) {
      throw new GatewayError('IDENTITY_IS_DEVICE', { deviceId: identity.id })
    }
    await this.#audit?.begin()
    await store.putSettings({ roles, ceiling: trustedLocal === false ? null : trustedLocal.ceiling })
    await this.#token.read()
    this.#tokenWatch.begin()
    this.#isPrepared = true
  }

  #scheduleTick(): void {
    this.#callOffTick = this.#clock.after(this.#limits.tickIntervalMs, () => {
      this.#scheduleTick()
      this.#tick()
    })
  }

  #tick(): void {
    const payload = { ts: this.#clock.nowMs() }
    const frame = Buffer.from(JSON.stringify({ type: 'event', event: 'tick', payload }))
    for (const connection of this.#sessions.connections()) connection.tick(frame)
  }
}

function localEndOf({ socket }: IncomingMessage): LocalEnd | null {
  const { localAddress: address, localPort: port } = socket
  return address === undefined || port === undefined ? null : { address, port }
}
