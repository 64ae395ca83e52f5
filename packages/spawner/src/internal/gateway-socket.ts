import type { IncomingMessage } from 'node:http'
import { type EventFrame, parseServerFrame, type ResponseFrame } from '@holdfast/handshake'
import { type RawData, WebSocket } from 'ws'
import { shownText } from './peer-text.ts'

/** How a socket ended: closed once it was open; or never open, by an error or by an HTTP answer instead of an upgrade. */
export type SocketEnd =
  | {
      readonly kind: 'closed'
      readonly code: number
      /** Printable ASCII. */
      readonly reason: string
    }
  /** `errno` is `null` where the other side answered, but not as a WebSocket server does. */
  | { readonly kind: 'failed'; readonly errno: string | null; readonly error: Error }
  | { readonly kind: 'rejected'; readonly status: number; readonly body: string }

/** What comes out of a socket, in order; the end comes last and stays. */
export type Incoming =
  | { readonly kind: 'frame'; readonly frame: ResponseFrame | EventFrame }
  /** A message that is no frame of the protocol. */
  | { readonly kind: 'noise' }
  | SocketEnd

/** As much as a gateway is known to send at once: 25 MiB. */
const MAX_FRAME_BYTES = 26_214_400
const MAX_BODY_CHARACTERS = 4_096
/** How long the other side has to answer a close. */
const CLOSE_PATIENCE_MS = 1_000

/** A client socket to a gateway, read by pulling. It sends no header that `ws` does not send by itself. */
export class GatewaySocket {
  readonly #socket: WebSocket
  readonly #queue: Incoming[] = []
  #waiter: ((incoming: Incoming) => void) | null = null
  #end: SocketEnd | null = null
  #cutReason: string | null = null
  #opened = false
  #heard = false

  constructor(url: string) {
    // No compression: an allow-list of headers decides who is local, and small frames gain nothing.
    this.#socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: MAX_FRAME_BYTES })
    this.#socket.on('open', () => {
      this.#opened = true
    })
    this.#socket.on('message', (data, isBinary) => this.#receive(data, isBinary))
    this.#socket.on('ping', () => {
      this.#heard = true
    })
    this.#socket.on('unexpected-response', (_request, response) => this.#readAnswer(response))
    // After the opening an error is always followed by a close, which then tells more.
    this.#socket.on('error', error => {
      if (!this.#opened) this.#finish({ kind: 'failed', errno: errnoOf(error), error })
    })
    this.#socket.on('close', (code, reason) =>
      this.#finish({ kind: 'closed', code, reason: this.#cutReason ?? shownReason(reason) }),
    )
  }

  /** Was the upgrade answered with yes? */
  get opened(): boolean {
    return this.#opened
  }

  /** The next thing that came, or comes. One caller at a time. */
  next(): Promise<Incoming> {
    const queued = this.#queue.shift() ?? this.#end
    if (queued !== null) return Promise.resolve(queued)
    return new Promise(resolve => {
      this.#waiter = resolve
    })
  }

  send(text: string): void {
    this.#socket.send(text)
  }

  /** Did anything come since this was last asked? */
  heardSomething(): boolean {
    const heard = this.#heard
    this.#heard = false
    return heard
  }

  /** End it politely; the other side has a second to answer, then it is cut. */
  hangUp(): void {
    if (this.#end !== null) return
    this.#socket.close(1000)
    const timer = setTimeout(() => this.cut(''), CLOSE_PATIENCE_MS)
    // The open socket keeps the process alive until then; the timer alone would not be worth it.
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
  }

  /** End it now. The end reads as 1006 with this reason. */
  cut(reason: string): void {
    if (this.#end !== null) return
    this.#cutReason = reason
    this.#socket.terminate()
  }

  #receive(data: RawData, isBinary: boolean): void {
    this.#heard = true
    const frame = isBinary ? null : parseServerFrame(data.toString())
    this.#push(frame === null ? { kind: 'noise' } : { kind: 'frame', frame })
  }

  #readAnswer(response: IncomingMessage): void {
    let body = ''
    const done = (): void => {
      this.#finish({ kind: 'rejected', status: response.statusCode ?? 0, body })
      this.#socket.terminate()
    }
    response.setEncoding('utf8')
    response.on('data', (text: string) => {
      body += text
      if (body.length > MAX_BODY_CHARACTERS) done()
    })
    response.on('end', done)
    response.on('error', done)
  }

  #finish(end: SocketEnd): void {
    if (this.#end !== null) return
    this.#end = end
    this.#push(end)
    // The end is handed out by `next` for ever; in the queue it would only be seen once.
    if (this.#queue.at(-1) === end) this.#queue.pop()
  }

  #push(incoming: Incoming): void {
    const waiter = this.#waiter
    this.#waiter = null
    if (waiter === null) this.#queue.push(incoming)
    else waiter(incoming)
  }
}

/** RFC 6455 §5.5 bounds it at 123 bytes. */
function shownReason(reason: Buffer): string {
  return shownText(reason.toString('utf8'), 123)
}

function errnoOf(error: Error): string | null {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  // What the parser of HTTP stumbles over was sent by somebody who does not speak it.
  return code?.startsWith('HPE_') || code?.startsWith('WS_ERR_') ? null : code
}
