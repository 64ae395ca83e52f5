import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { WebSocket } from 'ws'

/**
 * A client as the projects of this field write it by hand: one key, one frame, the scopes of the moment. It shares no code
 * with Holdfast, so that what it meets at a gateway is what they meet, and so that it can check what Holdfast left behind.
 */
export interface PlainKey {
  readonly deviceId: string
  readonly publicKey: string
  readonly privateKey: KeyObject
}

export interface PlainOptions {
  readonly url: string
  readonly token?: string
  readonly deviceToken?: string
  readonly scopes: readonly string[]
  readonly role?: string
  readonly proof?: 'v2' | 'v3'
  readonly platform?: string
  readonly clientId?: string
  readonly mode?: string
  /**
   * A name of its own, unless given: 2026.9 drops a silently paired device when another comes by the same name. `null`: none,
   * as the releases' command lines.
   */
  readonly displayName?: string | null
  /** Headers of the upgrade, such as `Origin`. */
  readonly headers?: Readonly<Record<string, string>>
}

/** How the gateway answered a `connect`. */
export type PlainAnswer =
  | { readonly ok: true; readonly hello: Record<string, unknown>; readonly connection: PlainConnection }
  | {
      readonly ok: false
      readonly closeCode: number
      readonly reason: string
      readonly code: string | null
      readonly details: Readonly<Record<string, unknown>>
    }

export interface PlainEvent {
  readonly event: string
  readonly payload: Readonly<Record<string, unknown>>
}

export interface PlainConnection {
  /** What the gateway told on its own account, so far. */
  readonly events: readonly PlainEvent[]
  call(method: string, params?: unknown): Promise<Record<string, unknown>>
  close(): Promise<void>
}

export function createPlainKey(): PlainKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')
  return {
    deviceId: createHash('sha256').update(raw).digest('hex'),
    publicKey: raw.toString('base64url'),
    privateKey,
  }
}

/** The key of an install of ours, to look at a gateway with it as nobody but this client would. */
export function plainKeyOf(stateDirectory: string): PlainKey {
  const file = JSON.parse(readFileSync(join(stateDirectory, 'device', 'key.json'), 'utf8'))
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: file.publicKey, d: file.secretKey }
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' })
  return { deviceId: file.deviceId, publicKey: file.publicKey, privateKey }
}

/** Both halves as OpenClaw keeps them. */
export function pemsOf(key: PlainKey): { readonly publicKeyPem: string; readonly privateKeyPem: string } {
  return {
    publicKeyPem: createPublicKey(key.privateKey).export({ format: 'pem', type: 'spki' }).toString(),
    privateKeyPem: key.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  }
}

/** One `connect`, answered; where it was let in, the connection stays open. */
export function plainConnect(key: PlainKey, options: PlainOptions): Promise<PlainAnswer> {
  const socket = new WebSocket(options.url, { headers: { ...options.headers } })
  const waiting = new Map<string, (frame: Record<string, unknown>) => void>()
  const events: PlainEvent[] = []
  const connectId = randomUUID()
  return new Promise((resolve, reject) => {
    let refusal: Record<string, unknown> = {}
    socket.on('message', data => {
      const frame = JSON.parse(String(data))
      if (frame.event === 'connect.challenge') {
        const params = connectParams(key, options, frame.payload)
        socket.send(JSON.stringify({ type: 'req', id: connectId, method: 'connect', params }))
      } else if (frame.type === 'res' && frame.id === connectId) {
        if (!frame.ok) refusal = frame.error
        else resolve({ ok: true, hello: frame.payload, connection: connectionOver(socket, waiting, events) })
      } else if (frame.type === 'res') {
        waiting.get(frame.id)?.(frame)
        waiting.delete(frame.id)
      } else if (frame.type === 'event') {
        events.push({ event: frame.event, payload: frame.payload ?? {} })
      }
    })
    socket.once('error', reject)
    socket.once('close', (closeCode, reason) => {
      const { code, details } = refusal as { code?: string; details?: Record<string, unknown> }
      resolve({ ok: false, closeCode, reason: String(reason), code: code ?? null, details: details ?? {} })
    })
  })
}

/** Connect and hang up at once: the answer alone. */
export async function plainAttempt(key: PlainKey, options: PlainOptions): Promise<PlainAnswer> {
  const answer = await plainConnect(key, options)
  if (answer.ok) await answer.connection.close()
  return answer
}

function connectionOver(
  socket: WebSocket,
  waiting: Map<string, (frame: Record<string, unknown>) => void>,
  events: readonly PlainEvent[],
): PlainConnection {
  return {
    events,
    call: (method, params = {}) =>
      new Promise((resolve, reject) => {
        const id = randomUUID()
        waiting.set(id, resolve)
        socket.once('close', () => reject(new Error('closed')))
        socket.send(JSON.stringify({ type: 'req', id, method, params }))
      }),
    close: () =>
      new Promise(resolve => {
        socket.once('close', () => resolve())
        socket.close(1000)
      }),
  }
}

function connectParams(
  key: PlainKey,
  options: PlainOptions,
  challenge: { nonce: string; ts: number },
): Record<string, unknown> {
  const { scopes, role = 'operator', proof = 'v2', platform = 'linux' } = options
  const { displayName = `plain ${key.deviceId.slice(0, 8)}` } = options
  const id = options.clientId ?? 'cli'
  const mode = options.mode ?? 'cli'
  const credential = options.token ?? options.deviceToken ?? ''
  const fields = [
    proof,
    key.deviceId,
    id,
    mode,
    role,
    scopes.join(','),
    challenge.ts,
    credential,
    challenge.nonce,
  ]
  if (proof === 'v3') fields.push(platform, '')
  const signature = sign(null, Buffer.from(fields.join('|')), key.privateKey).toString('base64url')
  return {
    minProtocol: 3,
    maxProtocol: 4,
    client: {
      id,
      version: '1.0.0',
      platform,
      mode,
      ...(displayName === null ? {} : { displayName }),
    },
    role,
    scopes,
    auth: {
      ...(options.token === undefined ? {} : { token: options.token }),
      ...(options.deviceToken === undefined ? {} : { deviceToken: options.deviceToken }),
    },
    device: {
      id: key.deviceId,
      publicKey: key.publicKey,
      signature,
      signedAt: challenge.ts,
      nonce: challenge.nonce,
    },
  }
}
