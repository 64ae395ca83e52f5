import { answerTo, type CallFrame, type PeerError, parseCall } from '@holdfast/handshake'
import { type CallContext, CallError, type CallHandler } from './connection.ts'
import type { EventOutlet } from './gate-events.ts'
import type { LiveConnection } from './live-connection.ts'

/** The call by which a child brings a newer delegation over the connection that it has. */
export const RENEW_METHOD = 'delegation.renew'

/** One method that a gate answers. */
export interface GateMethod {
  /** What a connection must hold to call it: all of them. Empty: any admitted connection may. */
  readonly scopes: readonly string[]
  /** Returns the payload, or throws a {@link CallError}. */
  handle(params: unknown, context: CallContext): unknown
}

const INTERNAL_ERROR: PeerError = { code: 'UNAVAILABLE', message: 'internal error' }

/** The calls that the gate answers for its author. */
export class CallDesk {
  readonly #methods: ReadonlyMap<string, GateMethod>
  readonly #events: EventOutlet
  readonly #callsInFlight: number

  constructor(
    methods: Readonly<Record<string, GateMethod>>,
    options: { readonly events: EventOutlet; readonly callsInFlight: number },
  ) {
    this.#methods = new Map(Object.entries(methods))
    this.#events = options.events
    this.#callsInFlight = options.callsInFlight
  }

  /** One frame of an admitted connection; `null` where it was binary. */
  take(frame: string | null, connection: LiveConnection): void {
    const call = frame === null ? null : parseCall(frame)
    if (call === null || call.method === 'connect') {
      const refusal =
        call === null
          ? ({ code: 'malformed', problem: { kind: 'not-a-request' } } as const)
          : ({ code: 'connect-repeated' } as const)
      const { closeCode, closeReason } = answerTo(refusal, { rule: '2' })
      connection.cut(refusal.code, closeCode, closeReason)
      return
    }
    const problem = this.#problemWith(call, connection)
    if (problem === null) void this.#answer(call, connection)
    else connection.respond({ type: 'res', id: call.id, ok: false, error: problem })
  }

  #problemWith(call: CallFrame, connection: LiveConnection): PeerError | null {
    const method = this.#methods.get(call.method)
    if (method === undefined && connection.callHandler === null) {
      return { code: 'INVALID_REQUEST', message: 'unknown method', details: { code: 'METHOD_UNKNOWN' } }
    }
    const calls = connection.delegation?.calls ?? null
    if (calls !== null && call.method !== RENEW_METHOD && !calls.includes(call.method)) {
      return {
        code: 'FORBIDDEN',
        message: 'call not delegated',
        details: { code: 'CALL_NOT_DELEGATED', calls },
      }
    }
    const missing = method?.scopes.filter(scope => !connection.holds(scope)) ?? []
    if (missing.length > 0) {
      const message = `missing scope: ${missing.join(', ')}`
      return { code: 'FORBIDDEN', message, details: { code: 'MISSING_SCOPE', missing } }
    }
    if (connection.callsInFlight >= this.#callsInFlight) {
      return { code: 'UNAVAILABLE', message: 'too many calls at once', retryable: true }
    }
    return null
  }

  async #answer(call: CallFrame, connection: LiveConnection): Promise<void> {
    connection.callsInFlight += 1
    try {
      const payload = await this.#handlerOf(call, connection)(call, connection.callContext())
      connection.respond({ type: 'res', id: call.id, ok: true, payload: payload ?? {} })
    } catch (error) {
      this.#tell(call, connection, this.#toldOf(error))
    } finally {
      connection.callsInFlight -= 1
    }
  }

  /** What an author puts into `details` need not be JSON: it may be too deep, or a circle. */
  #tell(call: CallFrame, connection: LiveConnection, error: PeerError): void {
    try {
      connection.respond({ type: 'res', id: call.id, ok: false, error })
    } catch (cause) {
      this.#events.fault('method', cause)
      connection.respond({ type: 'res', id: call.id, ok: false, error: INTERNAL_ERROR })
    }
  }

  #handlerOf(call: CallFrame, connection: LiveConnection): CallHandler {
    const method = this.#methods.get(call.method)
    if (method !== undefined) return ({ params }, context) => method.handle(params, context)
    const handler = connection.callHandler
    if (handler === null) throw new TypeError('a call that nobody answers')
    return handler
  }

  #toldOf(error: unknown): PeerError {
    if (error instanceof CallError) {
      const { code, message, details } = error
      return { code, message, ...(details !== undefined && { details }) }
    }
    this.#events.fault('method', error)
    return INTERNAL_ERROR
  }
}
