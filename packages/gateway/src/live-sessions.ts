import { answerTo, CUT_CLOSE_CODE, type Refusal, rootOf } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { AdmissionAttempt, PairingStore, StoreChange } from '@holdfast/pairing-store'
import type { GateClock } from './clock.ts'
import { GatewayError } from './errors.ts'
import type { EventOutlet } from './gate-events.ts'
import { type Place, Roster } from './internal/roster.ts'
import type { LiveConnection } from './live-connection.ts'

const PROBE_INTERVAL_MS = 5_000

/** A session from before its facts are read until its socket is closed. */
export interface Session {
  /** A child that renews its delegation brings another one. */
  attempt: AdmissionAttempt
  /** Of a child, the device that it says it stems from: proven only once it is admitted. */
  readonly deviceId: DeviceId | null
  readonly isDelegated: boolean
  /** The generation of the gateway token that it showed, or `null`. */
  generationId: string | null
  /** `null` while it is decided on. */
  connection: LiveConnection | null
  /** Something about it changed, and the rules have not been asked since. */
  stale: boolean
  reviewing: boolean
  /** Where it is listed. */
  readonly places: Place<Session>[]
}

/** What the watch over live sessions works with. */
export interface SessionsOptions {
  readonly store: PairingStore
  readonly clock: GateClock
  readonly events: EventOutlet
  /** How long live sockets outlive a store that does not answer. */
  readonly storeLossMs: number
}

/**
 * Who is connected, and the watch over whether they still may be. A session is listed *before* its facts are read: a
 * change that is committed after the reading finds it here, one committed before was read. None falls between.
 */
export class LiveSessions {
  readonly #store: PairingStore
  readonly #clock: GateClock
  readonly #events: EventOutlet
  readonly #storeLossMs: number
  readonly #all = new Roster<Session>()
  readonly #byDevice: Record<DeviceId, Roster<Session>> = Object.create(null)
  readonly #stop: (() => void)[] = []
  #failingSinceMs: number | null = null
  #probing = false

  constructor(options: SessionsOptions) {
    this.#store = options.store
    this.#clock = options.clock
    this.#events = options.events
    this.#storeLossMs = options.storeLossMs
    this.#stop.push(options.store.subscribe(change => this.#onChange(change)))
    this.#scheduleProbe()
  }

  list(attempt: AdmissionAttempt): Session {
    const { proof, credential } = attempt
    const proven = proof.verdict === 'verified' ? proof.proof.deviceId : null
    const isDelegated = credential.kind === 'delegation'
    const deviceId = isDelegated && proven !== null ? rootOf(credential.chain) : proven
    const session: Session = {
      attempt,
      deviceId,
      isDelegated,
      generationId: null,
      connection: null,
      stale: false,
      reviewing: false,
      places: [],
    }
    session.places.push(this.#all.add(session))
    if (deviceId !== null) {
      this.#byDevice[deviceId] ??= new Roster()
      session.places.push(this.#byDevice[deviceId].add(session))
    }
    return session
  }

  unlist(session: Session): void {
    for (const place of session.places) place.leave()
    if (session.deviceId === null) return
    if (this.#byDevice[session.deviceId]?.size === 0) delete this.#byDevice[session.deviceId]
  }

  /** Does the device have that many sessions beside this one? Those without a device count together, once admitted. */
  isFull(session: Session, limit: number): boolean {
    const { deviceId } = session
    if (deviceId !== null) {
      // Most have far fewer, whichever of them count.
      if ((this.#byDevice[deviceId]?.size ?? 0) <= limit) return false
      return this.siblings(session).length >= limit
    }
    return this.connections().filter(connection => connection.deviceId === null).length >= limit
  }

  /** Further sessions of the same device: those of children count once they are admitted, since anybody can name a device. */
  siblings(session: Session): readonly Session[] {
    const all = session.deviceId === null ? undefined : this.#byDevice[session.deviceId]
    return (all?.list() ?? []).filter(
      each => each !== session && (!each.isDelegated || each.connection !== null),
    )
  }

  find(connectionId: string): Session | null {
    for (const session of this.#all.list())
      if (session.connection?.connectionId === connectionId) return session
    return null
  }

  connections(): LiveConnection[] {
    return this.#all.list().flatMap(session => session.connection ?? [])
  }

  /** The end of the watch. The sessions are left to whoever closes the gate. */
  close(): void {
    for (const stop of this.#stop.splice(0)) stop()
  }

  /** Ask the rules again about a session, until nothing has changed while they were asked. */
  async review(session: Session): Promise<void> {
    session.stale = true
    if (session.reviewing) return
    session.reviewing = true
    try {
      while (session.stale && session.connection !== null && session.connection.cutBy === null) {
        session.stale = false
        const refusal = await this.#verdict(session)
        if (refusal !== null) cut(session.connection, refusal)
      }
    } catch (error) {
      // It stays stale: the rules are asked again as soon as the store answers.
      session.stale = true
      this.noteFailure(error)
    } finally {
      session.reviewing = false
    }
  }

  /** The store answered. What could not be reviewed meanwhile is reviewed now. */
  noteSuccess(): void {
    if (this.#failingSinceMs === null) return
    this.#failingSinceMs = null
    for (const session of this.#all.list())
      if (session.stale && session.connection !== null) void this.review(session)
  }

  noteFailure(error: unknown): void {
    this.#failingSinceMs ??= this.#clock.nowMs()
    this.#events.fault('store', error)
  }

  async #verdict(session: Session): Promise<Refusal | null> {
    if (session.generationId !== null) {
      const current = await this.#store.findGatewayToken()
      if (current?.generationId !== session.generationId) return { code: 'token-rotated' }
    }
    if (session.deviceId === null) return null
    const decision = await this.#store.review(session.attempt)
    if (decision.outcome === 'admitted') return null
    return reasonOfCut(decision.outcome === 'refused' ? decision.refusal : null)
  }

  #onChange(change: StoreChange): void {
    switch (change.kind) {
      case 'device-changed':
      case 'delegation-revoked':
        for (const session of this.#byDevice[change.deviceId]?.list() ?? []) this.#changed(session)
        break
      case 'gateway-token-changed':
        // One that is still decided on has no generation yet, and may be given the old one.
        for (const session of this.#all.list()) {
          if (session.generationId !== null || session.connection === null) this.#changed(session)
        }
        break
      case 'request-closed': {
        const { requestId, deviceId, outcome } = change
        this.#events.emit({ event: 'request-closed', requestId, deviceId, outcome })
        break
      }
      case 'changes-missed':
        for (const session of this.#all.list()) this.#changed(session)
        break
      case 'store-lost':
        this.noteFailure(new GatewayError('STORE_LOST', { reason: change.reason }))
        break
      case 'request-opened':
      case 'settings-changed':
        break
    }
  }

  #changed(session: Session): void {
    if (session.connection === null) session.stale = true
    else void this.review(session)
  }

  #scheduleProbe(): void {
    const callOff = this.#clock.after(PROBE_INTERVAL_MS, () => {
      this.#stop.splice(this.#stop.indexOf(callOff), 1)
      this.#scheduleProbe()
      void this.#probe()
    })
    this.#stop.push(callOff)
  }

  async #probe(): Promise<void> {
    const nowMs = this.#clock.nowMs()
    if (this.#failingSinceMs !== null && nowMs - this.#failingSinceMs >= this.#storeLossMs) {
      for (const connection of this.connections()) cut(connection, { code: 'store-unavailable' })
    }
    if (this.#probing) {
      // The last probe still hangs: that is a failure, too.
      this.#failingSinceMs ??= nowMs
      return
    }
    this.#probing = true
    try {
      await this.#store.findGatewayToken()
      this.noteSuccess()
    } catch (error) {
      this.noteFailure(error)
    } finally {
      this.#probing = false
    }
  }
}

/** What a live socket is told where the rules would not admit it now. */
function reasonOfCut(refusal: Refusal | null): Refusal {
  if (refusal?.code === 'device-revoked') return { code: 'device-revoked' }
  const flaw = refusal?.code === 'delegation-insufficient' ? refusal.flaw : null
  if (flaw === 'revoked') return { code: 'delegation-revoked' }
  return { code: flaw === 'expired' ? 'delegation-expired' : 'scopes-narrowed' }
}

/** End a live connection by a refusal. One that waiting cannot cure ends with 4001, whatever a `connect` would be told. */
export function cut(connection: LiveConnection, refusal: Refusal): void {
  const { closeCode, closeReason, retryable } = answerTo(refusal, { rule: '8' })
  connection.cut(refusal.code, retryable ? closeCode : CUT_CLOSE_CODE, closeReason)
}
