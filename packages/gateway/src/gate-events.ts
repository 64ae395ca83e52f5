import { channel } from 'node:diagnostics_channel'
import {
  type Decision,
  type Explanation,
  explanationOf,
  type RefusalCode,
  type Role,
  type RuleId,
  type Scope,
} from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { RequestOutcome, RequestRecord } from '@holdfast/pairing-store'
import { isGatewayError } from './errors.ts'

/**
 * Something that a gate did. No secret is in it, and no text that a peer chose but the name in a request, which the store
 * has cleaned. Addresses are canonical; a device id is there only where the device has proven it.
 */
export type GateEvent =
  | {
      readonly event: 'admitted'
      readonly connectionId: string
      readonly deviceId: DeviceId | null
      readonly role: Role
      readonly scopes: readonly Scope[]
      readonly rule: RuleId
      /** Did the device become known by this very connection? */
      readonly registered: boolean
      readonly source: string
      /** Only of a child that was admitted by a delegation: the id of its own key, and how far below the device it is. */
      readonly delegation?: { readonly holderId: DeviceId; readonly depth: number }
    }
  | {
      readonly event: 'refused'
      /** Of the socket that was refused; `null` before the upgrade. */
      readonly connectionId: string | null
      readonly refusal: RefusalCode
      readonly rule: RuleId | '0' | '1'
      readonly deviceId: DeviceId | null
      readonly requestId: string | null
      readonly source: string
    }
  /** A person is asked, for the first time. */
  | { readonly event: 'request'; readonly request: RequestRecord }
  | {
      readonly event: 'request-closed'
      readonly requestId: string
      readonly deviceId: DeviceId
      readonly outcome: RequestOutcome
    }
  /** A child's right is nearly over: its connection ends then, unless it is renewed. */
  | {
      readonly event: 'delegation-expiring'
      readonly connectionId: string
      readonly deviceId: DeviceId | null
      readonly holderId: DeviceId
      readonly expiresAtMs: number
    }
  /** A child has brought a newer right over the connection that it has. */
  | {
      readonly event: 'delegation-renewed'
      readonly connectionId: string
      readonly deviceId: DeviceId | null
      readonly holderId: DeviceId
      readonly expiresAtMs: number
    }
  | {
      readonly event: 'closed'
      readonly connectionId: string
      readonly deviceId: DeviceId | null
      /** The close code that the socket ended with (RFC 6455 §7.1.5). */
      readonly closeCode: number
      /** Why the gate cut it, or `null` where the peer or the author ended it. */
      readonly cut: RefusalCode | 'slow-consumer' | 'unresponsive' | 'messages-unfinished' | null
    }
  /** The gate could not do its work; whoever it concerned was refused or cut. `error` is the cause. */
  | {
      readonly event: 'fault'
      readonly part: FaultyPart
      readonly error: unknown
    }

/** Where a gate's inability comes from. */
export type FaultyPart = 'store' | 'gateway-token' | 'identity' | 'method' | 'listener'

/** Of an error that kept the gate from deciding: which part it came from. */
export function faultyPart(error: unknown): FaultyPart {
  if (isGatewayError(error, 'IDENTITY_IS_DEVICE')) return 'identity'
  const token =
    isGatewayError(error, 'GATEWAY_TOKEN_WEAK') || isGatewayError(error, 'GATEWAY_TOKEN_UNREADABLE')
  return token ? 'gateway-token' : 'store'
}

/** What subscribers of the channel `holdfast:gateway` get: the event, and the decision where there was one. */
export interface GateMessage {
  readonly gate: object
  readonly event: GateEvent
  readonly decision: Decision | null
  /** What was asked, what was known, which rule decided, and what would change it; `null` where no rule of a `connect` did. */
  readonly explanation: Explanation | null
}

/** Told of what a gate does, with the explanation where a `connect` was decided on. */
export type GateListener = (event: GateEvent, explanation: Explanation | null) => void

const gateChannel = channel('holdfast:gateway')

/** Tells listeners and the diagnostics channel. A listener that throws is reported, and harms nobody else. */
export class EventOutlet {
  readonly #gate: object
  readonly #listeners = new Set<GateListener>()

  constructor(gate: object) {
    this.#gate = gate
  }

  listen(listener: GateListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  emit(event: GateEvent, decision: Decision | null = null): void {
    if (!gateChannel.hasSubscribers && this.#listeners.size === 0) return
    const explanation = decision === null ? null : explanationOf(decision, requestIn(event))
    if (gateChannel.hasSubscribers) {
      gateChannel.publish({ gate: this.#gate, event, decision, explanation } satisfies GateMessage)
    }
    for (const listener of this.#listeners) {
      try {
        listener(event, explanation)
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : 'a gate listener threw', 'HoldfastGateListener')
      }
    }
  }

  /** Runs a listener of the author's. What it throws, or rejects with, is a fault, and ends nothing. */
  run(listener: () => unknown): void {
    try {
      const outcome = listener()
      if (outcome instanceof Promise) outcome.catch(error => this.fault('listener', error))
    } catch (error) {
      this.fault('listener', error)
    }
  }

  fault(part: FaultyPart, error: unknown): void {
    this.emit({ event: 'fault', part, error })
  }
}

function requestIn(event: GateEvent): string | null {
  if (event.event === 'request') return event.request.requestId
  return event.event === 'refused' ? event.requestId : null
}
