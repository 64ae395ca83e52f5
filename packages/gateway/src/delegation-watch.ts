import {
  type Decision,
  MAX_DELEGATION_LINKS,
  type Refusal,
  rootOf,
  type VerifiedDelegation,
} from '@holdfast/handshake'
import type { DeviceIdentity } from '@holdfast/identity'
import type { AdmissionAttempt, PairingStore } from '@holdfast/pairing-store'
import { type Params, readParams } from './call-params.ts'
import { denied, invalid } from './call-refusals.ts'
import type { GateClock } from './clock.ts'
import { CallError, type ConnectionDelegation } from './connection.ts'
import type { EventOutlet } from './gate-events.ts'
import type { LiveConnection } from './live-connection.ts'
import { cut, type LiveSessions, type Session } from './live-sessions.ts'
import { type GateMethod, RENEW_METHOD } from './methods.ts'

/** The event that says that a delegation will be over, unless it is renewed. */
export const EXPIRING_EVENT = 'delegation.expiring'

/** How long before the end a child is warned: a fifth of what is left, and no more than this, in ms. */
const LONGEST_WARNING_MS = 60_000

export interface DelegationWatchOptions {
  readonly store: PairingStore
  readonly identity: DeviceIdentity
  readonly clock: GateClock
  readonly sessions: LiveSessions
  readonly events: EventOutlet
}

/** What an admission by rule 11 rests on, or `null` where it was another rule. */
export function delegationIn({ facts: { credential } }: Decision): VerifiedDelegation | null {
  if (credential.kind !== 'delegation' || credential.delegation.verdict !== 'verified') return null
  return credential.delegation.delegation
}

/** The same, as a connection says it. */
export function toConnectionDelegation(delegation: VerifiedDelegation): ConnectionDelegation {
  const { links, expiresAtMs, calls, root } = delegation
  return { holderId: links.at(-1)?.holderId ?? root, depth: links.length, path: links, expiresAtMs, calls }
}

/** The children that are connected by a right of their own: how many there may be, when their time is over, and anew. */
export class DelegationWatch {
  readonly #options: DelegationWatchOptions
  readonly #timers = new WeakMap<LiveConnection, () => void>()

  constructor(options: DelegationWatchOptions) {
    this.#options = options
  }

  /** Why one more connection by this delegation is one too many, or `null`. */
  excess(session: Session, delegation: VerifiedDelegation): Refusal | null {
    const holders = delegation.links.map(({ holderId }) => holderId)
    const paths = this.#options.sessions.siblings(session).flatMap(({ connection }) => {
      const path = connection?.cutBy === null ? connection.delegation?.path : undefined
      return path === undefined ? [] : [path.map(({ holderId }) => holderId)]
    })
    for (const [at, { caveats }] of delegation.links.entries()) {
      const below = [...paths.filter(path => path[at] === holders[at]), holders]
      const children = new Set(below.flatMap(path => path[at + 1] ?? []))
      if (caveats.connections !== null && below.length > caveats.connections) {
        return { code: 'delegation-full', cap: 'connections', link: at + 1 }
      }
      if (caveats.children !== null && children.size > caveats.children) {
        return { code: 'delegation-full', cap: 'children', link: at + 1 }
      }
    }
    return null
  }

  /** Warn the child in time, and end its connection when its right ends; anew after each renewal. */
  follow(connection: LiveConnection): void {
    const former = this.#timers.get(connection)
    former?.()
    const { delegation } = connection
    if (delegation === null) return
    const { clock, events } = this.#options
    const { expiresAtMs, holderId } = delegation
    const leftMs = Math.max(0, expiresAtMs - clock.nowMs())
    const callOffWarning = clock.after(leftMs - Math.min(LONGEST_WARNING_MS, leftMs / 5), () => {
      const { connectionId, deviceId } = connection
      events.emit({ event: 'delegation-expiring', connectionId, deviceId, holderId, expiresAtMs })
      if (connection.readsCalls) connection.send(EXPIRING_EVENT, { expiresAtMs })
    })
    const callOffEnd = clock.after(leftMs, () => cut(connection, { code: 'delegation-expired' }))
    const callOff = (): void => {
      callOffWarning()
      callOffEnd()
    }
    this.#timers.set(connection, callOff)
    if (former === undefined) connection.onClose(() => this.#timers.get(connection)?.())
  }

  /** `delegation.renew`: every delegated connection may call it, whatever its scopes and calls. */
  get methods(): Readonly<Record<string, GateMethod>> {
    const handle: GateMethod['handle'] = (params, { connection }) =>
      this.#renew(readParams(params, ['chain']), connection.connectionId)
    return { [RENEW_METHOD]: { scopes: [], handle } }
  }

  async #renew({ chain }: Params, connectionId: string): Promise<unknown> {
    const { sessions, store } = this.#options
    if (!isChain(chain)) throw invalid('chain')
    const session = sessions.find(connectionId)
    const connection = session?.connection ?? null
    if (session === null || connection === null || connection.delegation === null) {
      throw new CallError('INVALID_REQUEST', 'not a delegated connection', {
        details: { code: 'NOT_DELEGATED' },
      })
    }
    const attempt = this.#attemptWith(session.attempt, chain)
    const decision = rootOf(chain) === session.deviceId ? await store.review(attempt) : null
    const delegation = decision?.outcome === 'admitted' ? delegationIn(decision) : null
    if (delegation === null) throw denied('delegation renewal', 'DELEGATION_INSUFFICIENT', gapOf(decision))
    session.attempt = attempt
    connection.delegation = toConnectionDelegation(delegation)
    this.follow(connection)
    const { deviceId } = connection
    const { holderId, expiresAtMs } = connection.delegation
    this.#options.events.emit({ event: 'delegation-renewed', connectionId, deviceId, holderId, expiresAtMs })
    return { expiresAtMs }
  }

  #attemptWith(attempt: AdmissionAttempt, chain: readonly string[]): AdmissionAttempt {
    const gatewayId = this.#options.identity.id
    return { ...attempt, credential: { kind: 'delegation', chain, gatewayId } }
  }
}

function isChain(value: unknown): value is readonly string[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_DELEGATION_LINKS &&
    value.every(each => typeof each === 'string')
  )
}

function gapOf(decision: Decision | null): Readonly<Record<string, unknown>> {
  const refusal = decision?.outcome === 'refused' ? decision.refusal : null
  if (refusal?.code !== 'delegation-insufficient') return { refusal: refusal?.code ?? 'device-differs' }
  const { flaw, link, missing } = refusal
  return { flaw, link, missing }
}
