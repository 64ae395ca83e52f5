import type { PeerError, ResponseFrame } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { ConnectPlan } from './connect-options.ts'
import { isSpawnerError, SpawnerError } from './errors.ts'
import type { SocketEnd } from './internal/gateway-socket.ts'
import type { Admitted } from './internal/handshake-attempt.ts'
import { shownText } from './internal/peer-text.ts'
import { surroundings } from './internal/surroundings.ts'
import type { PeerRefusal } from './peer-refusal.ts'
import { isFinalClose } from './reconnection.ts'

/** How a connection ended, for good. */
export interface ConnectionEnd {
  /** The close code (RFC 6455 §7.4): 1000 after `close`; 1006 where nobody closed it in form. */
  readonly code: number
  /** The gateway's word: printable ASCII, at most 200 characters. May be empty. */
  readonly reason: string
  /** The refusal, where the gateway refused to have the device back; else `null`. */
  readonly refusal: PeerRefusal | null
  /** Why it could not come back; `null` where it did not try, or was closed by this side. */
  readonly error: Error | null
}

/** An admitted connection. It survives lost sockets; {@link ConnectionEnd} tells how it ended. */
export interface GatewayConnection {
  readonly deviceId: DeviceId
  /** The gateway's name for the present socket; another one after each reconnection. `null` where it gave none to show. */
  readonly connectionId: string | null
  readonly role: string
  /** What was asked for, all of it, and nothing more. */
  readonly scopes: readonly string[]
  /**
   * Call a method, and get its answer. While the socket is lost a call waits to be sent, up to `connectTimeoutMs`.
   * A call that was sent waits for its answer as long as the socket lives: bound it by the signal.
   *
   * @throws {@link SpawnerError} `CALL_FAILED`, `CONNECTION_LOST`, `CONNECTION_CLOSED`; the signal's reason (an answer that
   * comes later is dropped).
   */
  call(
    method: string,
    params?: unknown,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<unknown>
  /**
   * Be told of each event of that name. Nothing is missed between hello and the code right behind `await connectToGateway`;
   * what the gateway sends while the socket is lost is. Returns the function that ends it.
   */
  on(event: string, listener: (payload: unknown) => void): () => void
  /** Resolves when the connection has ended for good. Never rejects. */
  readonly closed: Promise<ConnectionEnd>
  /** End it. Nothing of it keeps the process alive for more than a second. */
  close(): Promise<ConnectionEnd>
}

/** What a connection needs of whoever makes it. */
export interface ConnectionMakings {
  readonly plan: ConnectPlan
  readonly deviceId: DeviceId
  /** Be admitted again. `failures`: how many sockets in a row did not live long. */
  readonly comeBack: (failures: number, ending: AbortSignal) => Promise<Admitted>
}

/** A socket that lived shorter than this counts as a failed attempt, so that flapping slows down. */
const STEADY_AFTER_MS = 5_000
/** A second or so between sockets that do not last; a gateway that restarts often is not waited for longer. */
const MOST_UNSTEADY = 4

/** A connection over an admitted socket. */
export function openConnection(admitted: Admitted, makings: ConnectionMakings): GatewayConnection {
  return new LiveConnection(admitted, makings)
}

interface CallUnderWay {
  readonly method: string
  readonly settle: (answer: ResponseFrame | SpawnerError) => void
}

class LiveConnection implements GatewayConnection {
  readonly deviceId: DeviceId
  readonly role: string
  readonly scopes: readonly string[]
  readonly closed: Promise<ConnectionEnd>
  readonly #makings: ConnectionMakings
  readonly #ending = new AbortController()
  readonly #calls = new Map<string, CallUnderWay>()
  readonly #listeners = new Map<string, Set<(payload: unknown) => void>>()
  readonly #waiting = new Set<() => void>()
  #current: Admitted | null
  #connectionId: string | null
  #end: ConnectionEnd | null = null
  #lastId = 0

  constructor(admitted: Admitted, makings: ConnectionMakings) {
    this.deviceId = makings.deviceId
    this.role = makings.plan.role
    this.scopes = Object.freeze([...makings.plan.scopes])
    this.#makings = makings
    this.#current = admitted
    this.#connectionId = admitted.connectionId
    this.closed = this.#live(admitted)
  }

  get connectionId(): string | null {
    return this.#connectionId
  }

  async call(
    method: string,
    params?: unknown,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<unknown> {
    const { signal } = options
    if (!/^[\x21-\x7e]{1,128}$/.test(method)) throw new TypeError('not the name of a method')
    signal?.throwIfAborted()
    if (this.#ending.signal.aborted) throw closedError(method, this.#end ?? CLOSED_HERE)
    const id = String(++this.#lastId)
    const text = JSON.stringify({ type: 'req', id, method, params })
    while (this.#current === null) await this.#waitForSocket(method, signal)
    const answer = await this.#exchange(this.#current, { id, method, text, signal })
    if (answer instanceof SpawnerError) throw answer
    if (answer.ok) return answer.payload
    throw callFailed(method, answer.error)
  }

  on(event: string, listener: (payload: unknown) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set()
    this.#listeners.set(event, listeners)
    // A function of its own, so that the same listener can be added twice and taken away once.
    const entry = (payload: unknown): void => listener(payload)
    listeners.add(entry)
    return () => {
      listeners.delete(entry)
    }
  }

  close(): Promise<ConnectionEnd> {
    this.#ending.abort()
    this.#current?.socket.hangUp()
    return this.closed
  }

  /** Socket after socket, until the last. */
  async #live(first: Admitted): Promise<ConnectionEnd> {
    // The caller's own code after `await connectToGateway` runs first, and can add its listeners.
    await new Promise(resolve => setImmediate(resolve))
    let admitted = first
    for (let unsteady = 0; ; ) {
      const sinceMs = surroundings.clock()
      const end = await this.#serve(admitted)
      unsteady = surroundings.clock() - sinceMs < STEADY_AFTER_MS ? Math.min(unsteady + 1, MOST_UNSTEADY) : 0
      this.#current = null
      this.#failCallsUnderWay()
      const { code, reason } = closeOf(end)
      if (this.#ending.signal.aborted) return this.#finish(CLOSED_HERE)
      if (isFinalClose(code) || !this.#makings.plan.reconnect) {
        return this.#finish({ code, reason, refusal: null, error: null })
      }
      this.#tell({ kind: 'lost', code, reason })
      try {
        admitted = await this.#makings.comeBack(unsteady, this.#ending.signal)
      } catch (error) {
        return this.#finish(this.#endBy(error, code, reason))
      }
      this.#takeUp(admitted)
    }
  }

  /** Hand out what comes from one socket, until its end. */
  async #serve({ socket, tickIntervalMs }: Admitted): Promise<SocketEnd> {
    const watchdog = tickIntervalMs === null ? null : watch(socket, tickIntervalMs)
    try {
      for (;;) {
        const incoming = await socket.next()
        if (incoming.kind === 'noise') continue
        if (incoming.kind !== 'frame') return incoming
        const { frame } = incoming
        if (frame.type === 'res') this.#calls.get(frame.id)?.settle(frame)
        else
          for (const listener of [...(this.#listeners.get(frame.event) ?? [])])
            run(() => listener(frame.payload))
      }
    } finally {
      if (watchdog !== null) clearInterval(watchdog)
    }
  }

  #takeUp(admitted: Admitted): void {
    this.#current = admitted
    this.#connectionId = admitted.connectionId
    if (this.#ending.signal.aborted) {
      admitted.socket.hangUp()
      return
    }
    this.#tell({ kind: 'reconnected', connectionId: admitted.connectionId })
    for (const wake of [...this.#waiting]) wake()
  }

  #endBy(error: unknown, code: number, reason: string): ConnectionEnd {
    if (this.#ending.signal.aborted) return CLOSED_HERE
    const why = error instanceof Error ? error : new Error('could not come back', { cause: error })
    if (!isSpawnerError(error, 'ADMISSION_REFUSED')) return { code, reason, refusal: null, error: why }
    const { url: _url, credential: _credential, fix: _fix, ...refusal } = error.detail
    return { code: refusal.closeCode ?? code, reason: refusal.reason, refusal, error: why }
  }

  #finish(end: ConnectionEnd): ConnectionEnd {
    this.#end = end
    for (const wake of [...this.#waiting]) wake()
    this.#listeners.clear()
    return end
  }

  #failCallsUnderWay(): void {
    for (const { method, settle } of [...this.#calls.values()]) {
      settle(new SpawnerError('CONNECTION_LOST', { method, sent: true }))
    }
  }

  #tell(notice: Parameters<ConnectPlan['onLifecycle']>[0]): void {
    run(() => this.#makings.plan.onLifecycle(notice))
  }

  #exchange(
    { socket }: Admitted,
    {
      id,
      method,
      text,
      signal,
    }: { id: string; method: string; text: string; signal: AbortSignal | undefined },
  ): Promise<ResponseFrame | SpawnerError> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#calls.delete(id)
        reject(signal?.reason)
      }
      const settle = (answer: ResponseFrame | SpawnerError): void => {
        this.#calls.delete(id)
        signal?.removeEventListener('abort', abort)
        resolve(answer)
      }
      this.#calls.set(id, { method, settle })
      signal?.addEventListener('abort', abort, { once: true })
      socket.send(text)
    })
  }

  #waitForSocket(method: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (settle: () => void): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.#waiting.delete(wake)
        settle()
      }
      const abort = (): void => leave(() => reject(signal?.reason))
      const wake = (): void =>
        leave(() => (this.#end === null ? resolve() : reject(closedError(method, this.#end))))
      const timer = setTimeout(
        () => leave(() => reject(new SpawnerError('CONNECTION_LOST', { method, sent: false }))),
        this.#makings.plan.connectTimeoutMs,
      )
      this.#waiting.add(wake)
      signal?.addEventListener('abort', abort, { once: true })
      if (this.#end !== null) wake()
    })
  }
}

function callFailed(method: string, { code, message, details }: PeerError): SpawnerError {
  return new SpawnerError('CALL_FAILED', {
    method,
    code: shownText(code, 64),
    message: shownText(message, 200),
    details: details ?? null,
  })
}

const CLOSED_HERE: ConnectionEnd = { code: 1000, reason: '', refusal: null, error: null }

function closedError(method: string, { code, reason }: ConnectionEnd): SpawnerError {
  return new SpawnerError('CONNECTION_CLOSED', { method, closeCode: code, reason })
}

function closeOf(end: SocketEnd): { readonly code: number; readonly reason: string } {
  return end.kind === 'closed' ? end : { code: 1006, reason: '' }
}

/** Two intervals without a frame or a ping, and the socket counts as lost. */
function watch(socket: Admitted['socket'], intervalMs: number): NodeJS.Timeout {
  let silent = 0
  const timer = setInterval(() => {
    silent = socket.heardSomething() ? 0 : silent + 1
    if (silent >= 2) socket.cut('the gateway fell silent')
  }, intervalMs)
  timer.unref()
  return timer
}

/** A listener that throws is the caller's to hear of, as an uncaught error; the connection goes on. */
function run(listener: () => void): void {
  try {
    listener()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
