import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  answerTo,
  BUILT_IN_ROLES,
  defineRoles,
  type OpenClawConnect,
  type ProofFamily,
  parseCall,
  parseConnect,
  type Refusal,
  verifyOpenClawProof,
} from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import { locateState, writeGatewayNote } from '@holdfast/identity/state'
import { type WebSocket, WebSocketServer } from 'ws'

/** What a scripted gateway answers to one `connect`. */
export type Answer =
  | {
      readonly kind: 'hello'
      readonly scopes?: readonly string[]
      /** In the place of the connection id. */
      readonly connId?: string
      readonly tickIntervalMs?: number
      readonly thenEvents?: readonly { readonly event: string; readonly payload: unknown }[]
    }
  | { readonly kind: 'refuse'; readonly refusal: Refusal; readonly rule: string; readonly command?: string }
  | { readonly kind: 'close'; readonly code: number; readonly reason: string }
  | { readonly kind: 'cut' }
  | { readonly kind: 'send'; readonly text: string | Buffer }
  /** A hello with this payload, whatever it is. */
  | { readonly kind: 'bare-hello'; readonly payload: unknown }
  /** An error as other gateways than ours give it. */
  | {
      readonly kind: 'foreign-error'
      readonly error: {
        readonly code: string
        readonly message: string
        readonly details?: Readonly<Record<string, unknown>>
      }
    }
  | { readonly kind: 'silence' }

/** One `connect` as it arrived. `verdict` is what our own verification says of its proof. */
export interface SeenConnect {
  readonly params: OpenClawConnect
  readonly headers: IncomingMessage['headers']
  readonly verdict: string
  /** Which string was signed; `null` where the proof does not verify. */
  readonly family: ProofFamily | null
  readonly socket: WebSocket
}

export interface Script {
  readonly port?: number
  /** Sent first; a text instead of a challenge, or nothing at all. */
  readonly opening?: string | null
  /** An HTTP answer instead of the upgrade. */
  readonly status?: number
  readonly body?: string
  readonly answer?: (seen: SeenConnect, nth: number) => Answer
  /** The answer to a call; `undefined`: none. */
  readonly call?: (method: string, params: unknown, socket: WebSocket, id: string) => unknown
}

/** A gateway that says what the test tells it to, and remembers what it was told. */
export interface ScriptedGateway {
  readonly url: string
  readonly port: number
  readonly connects: readonly SeenConnect[]
  /** Sockets that are open now. */
  sockets(): readonly WebSocket[]
  /** Leave this gateway's note in a state directory. */
  leaveNote(directory: string): Promise<void>
  /** Stop listening, and close every socket with this code (`null`: cut them). */
  stop(code?: number | null): Promise<void>
}

// One scope more than a client of ours knows.
const roles = defineRoles({
  ...BUILT_IN_ROLES,
  operator: { ...BUILT_IN_ROLES['operator'], 'operator.unheard-of': [] },
})
const gatewayIdentity = createEphemeralIdentity()
export const GATEWAY_ID = gatewayIdentity.id

export async function startScriptedGateway(script: Script = {}): Promise<ScriptedGateway> {
  const http = createServer()
  const server = new WebSocketServer({ noServer: true })
  const connects: SeenConnect[] = []
  http.on('upgrade', (request, socket, head) => {
    if (script.status !== undefined) {
      const body = script.body ?? ''
      socket.end(
        `HTTP/1.1 ${script.status} No\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      )
      return
    }
    server.handleUpgrade(request, socket, head, ws => serve(ws, request))
  })
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen(script.port ?? 0, '127.0.0.1', resolve)
  })
  const { port } = http.address() as AddressInfo
  const url = `ws://127.0.0.1:${port}`

  function serve(ws: WebSocket, request: IncomingMessage): void {
    const nonce = crypto.randomUUID()
    const challenge = { type: 'event', event: 'connect.challenge', payload: { nonce, ts: Date.now() } }
    if (script.opening !== null) ws.send(script.opening ?? JSON.stringify(challenge))
    let admitted = false
    ws.on('message', data => {
      const text = data.toString()
      if (admitted) {
        answerCall(ws, text)
        return
      }
      const reading = parseConnect(text)
      if (!reading.ok) throw new Error(`the client sent no connect: ${JSON.stringify(reading.problem)}`)
      const { params } = reading
      if (params.family !== 'openclaw') throw new Error('the scripted gateway speaks OpenClaw only')
      const checked = verifyOpenClawProof(params, { roles, nonce, nowMs: Date.now() })
      const family = checked.verdict === 'verified' ? checked.proof.family : null
      const { headers } = request
      const seen = { params, headers, verdict: checked.verdict, family, socket: ws }
      connects.push(seen)
      const answer = script.answer?.(seen, connects.length) ?? { kind: 'hello' }
      admitted = answer.kind === 'hello' || answer.kind === 'bare-hello'
      give(ws, answer, reading.id, params, connects.length)
    })
  }

  function answerCall(ws: WebSocket, text: string): void {
    const call = parseCall(text)
    if (call === null) throw new Error('the client sent no call')
    const payload = script.call?.(call.method, call.params, ws, call.id)
    if (payload !== undefined) ws.send(JSON.stringify({ type: 'res', id: call.id, ok: true, payload }))
  }

  return {
    url,
    port,
    connects,
    sockets: () => [...server.clients],
    leaveNote: directory =>
      writeGatewayNote(locateState({ directory }), {
        url,
        gatewayId: GATEWAY_ID,
        pid: process.pid,
        startedAtMs: Date.now(),
        store: null,
        protocol: 'openclaw',
      }),
    stop: async (code = null) => {
      for (const ws of server.clients) {
        if (code === null) ws.terminate()
        else ws.close(code, 'stopping')
      }
      await new Promise<void>(resolve => {
        http.close(() => resolve())
        http.closeAllConnections()
      })
    },
  }
}

function give(ws: WebSocket, answer: Answer, id: string, params: OpenClawConnect, nth: number): void {
  switch (answer.kind) {
    case 'hello': {
      const payload = {
        type: 'hello-ok',
        protocol: 4,
        server: { version: 'scripted', connId: answer.connId ?? `connection-${nth}` },
        auth: { role: params.role, scopes: answer.scopes ?? params.scopes },
        ...(answer.tickIntervalMs !== undefined && { policy: { tickIntervalMs: answer.tickIntervalMs } }),
      }
      ws.send(JSON.stringify({ type: 'res', id, ok: true, payload }))
      for (const event of answer.thenEvents ?? []) ws.send(JSON.stringify({ type: 'event', ...event }))
      return
    }
    case 'refuse': {
      const { error, closeCode, closeReason } = answerTo(answer.refusal, answer)
      ws.send(JSON.stringify({ type: 'res', id, ok: false, error }))
      ws.close(closeCode, closeReason)
      return
    }
    case 'bare-hello':
      ws.send(JSON.stringify({ type: 'res', id, ok: true, payload: answer.payload }))
      return
    case 'foreign-error':
      ws.send(JSON.stringify({ type: 'res', id, ok: false, error: answer.error }))
      ws.close(1008, answer.error.message)
      return
    case 'close':
      ws.close(answer.code, answer.reason)
      return
    case 'cut':
      ws.terminate()
      return
    case 'send':
      ws.send(answer.text, { binary: typeof answer.text !== 'string' })
      return
    case 'silence':
      return
  }
}
