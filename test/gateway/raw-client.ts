import { connect as connectTcp, type Socket } from 'node:net'
import { type AuthClaim, type ClientClaim, signOpenClawProof } from '@holdfast/handshake'
import type { DeviceIdentity } from '@holdfast/identity'
import { WebSocket } from 'ws'

/** A frame as it came: anything may be in it. */
export type RawFrame = Record<string, unknown>

export interface RawClose {
  readonly code: number
  readonly reason: string
}

/** A WebSocket that sends whatever a test wants, and keeps everything that comes. */
export interface RawPeer {
  readonly socket: WebSocket
  readonly frames: readonly RawFrame[]
  readonly closed: Promise<RawClose>
  /** The next frame that was not taken yet; rejects when the socket closes without one. */
  next(): Promise<RawFrame>
  send(frame: RawFrame | string | Buffer): void
}

/** What came instead of an upgrade. */
export class UpgradeRefused extends Error {
  readonly status: number
  readonly body: string
  constructor(status: number, body: string) {
    super(`HTTP ${status}`)
    this.status = status
    this.body = body
  }
}

export interface DialOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly origin?: string
  readonly localAddress?: string
}

/** @throws UpgradeRefused */
export async function dial(url: string, options: DialOptions = {}): Promise<RawPeer> {
  const socket = new WebSocket(url, { perMessageDeflate: false, ...options })
  const frames: RawFrame[] = []
  const waiting: { resolve(frame: RawFrame): void; reject(error: Error): void }[] = []
  let taken = 0
  let ending: RawClose | null = null
  socket.on('message', data => {
    frames.push(JSON.parse(data.toString()) as RawFrame)
    const waiter = waiting.shift()
    if (waiter !== undefined) waiter.resolve(frames[taken++] as RawFrame)
  })
  const closed = new Promise<RawClose>(resolve => {
    socket.on('close', (code, reason) => {
      ending = { code, reason: reason.toString() }
      resolve(ending)
      for (const waiter of waiting.splice(0)) waiter.reject(new Error(`closed ${code} ${ending.reason}`))
    })
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve())
    socket.once('error', reject)
    socket.once('unexpected-response', (_request, response) => {
      let body = ''
      response.on('data', chunk => {
        body += String(chunk)
      })
      response.on('end', () => reject(new UpgradeRefused(response.statusCode ?? 0, body)))
    })
  })
  socket.on('error', () => undefined)
  return {
    socket,
    frames,
    closed,
    next() {
      const frame = frames[taken]
      if (frame !== undefined) {
        taken += 1
        return Promise.resolve(frame)
      }
      if (ending !== null) return Promise.reject(new Error(`closed ${ending.code} ${ending.reason}`))
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }))
    },
    send(frame) {
      socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame))
    },
  }
}

export interface Challenge {
  readonly nonce: string
  readonly ts: number
}

export async function takeChallenge(peer: RawPeer): Promise<Challenge> {
  const frame = await peer.next()
  if (frame['event'] !== 'connect.challenge') throw new Error(`no challenge but ${JSON.stringify(frame)}`)
  return frame['payload'] as unknown as Challenge
}

export const CLIENT: ClientClaim = {
  id: 'cli',
  mode: 'cli',
  version: '1.0.0',
  platform: 'linux',
  deviceFamily: null,
  displayName: null,
  instanceId: null,
}

export interface ConnectOptions {
  /** `null`: no device in the frame. */
  readonly identity: DeviceIdentity | null
  readonly token?: string
  readonly role?: string
  readonly scopes?: readonly string[]
  readonly auth?: Partial<AuthClaim>
  readonly client?: Partial<ClientClaim>
  readonly version?: 'v2' | 'v3'
  /** The last word over the frame, after the signature: how an attacker would change it. */
  readonly tamper?: (frame: ConnectFrame) => RawFrame
}

export interface ConnectFrame extends RawFrame {
  type: 'req'
  id: string
  method: string
  params: Record<string, unknown> & { device?: Record<string, unknown> }
}

/** A `connect` as an OpenClaw client sends it, rightly signed, and then tampered with. */
export function connectFrame(challenge: Challenge, options: ConnectOptions): RawFrame {
  const role = options.role ?? 'operator'
  const scopes = options.scopes ?? ['operator.read']
  const auth: AuthClaim = {
    token: options.token ?? null,
    deviceToken: null,
    bootstrapToken: null,
    password: null,
    ...options.auth,
  }
  const client = { ...CLIENT, ...options.client }
  const { identity } = options
  const device =
    identity &&
    signOpenClawProof({ identity, challenge, client, role, scopes, auth, version: options.version ?? 'v3' })
  const frame: ConnectFrame = {
    type: 'req',
    id: 'call-1',
    method: 'connect',
    params: {
      minProtocol: 3,
      maxProtocol: 4,
      client: withoutNulls(client),
      role,
      scopes,
      auth: withoutNulls(auth),
      ...(device && {
        device: {
          id: device.id,
          publicKey: device.publicKey,
          signature: device.signature,
          signedAt: device.signedAtMs,
          nonce: device.nonce,
        },
      }),
    },
  }
  return options.tamper?.(frame) ?? frame
}

function withoutNulls(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
}

export interface Attempt {
  /** The payload of `hello-ok`, or `null`. */
  readonly hello: RawFrame | null
  /** The error of the response (or of the event before a close without one), or `null`. */
  readonly error: RawFrame | null
  /** `error.details`, or an empty object. */
  readonly details: RawFrame
  /** `null` where the socket is open: it was admitted. */
  readonly close: RawClose | null
  readonly peer: RawPeer
}

/** One whole try to connect. */
export async function attempt(url: string, options: ConnectOptions & DialOptions): Promise<Attempt> {
  const peer = await dial(url, {
    ...(options.headers && { headers: options.headers }),
    ...(options.origin !== undefined && { origin: options.origin }),
  })
  peer.send(connectFrame(await takeChallenge(peer), options))
  return conclude(peer)
}

/** The answer to a `connect` that was sent: the response, and the close where it was a refusal. */
export async function conclude(peer: RawPeer): Promise<Attempt> {
  const frame = await peer.next()
  if (frame['type'] === 'res' && frame['ok'] === true) {
    return { hello: frame['payload'] as RawFrame, error: null, details: {}, close: null, peer }
  }
  const carrier = frame['type'] === 'res' ? frame : (frame['payload'] as RawFrame)
  const error = carrier['error'] as RawFrame
  return { hello: null, error, details: (error['details'] ?? {}) as RawFrame, close: await peer.closed, peer }
}

/** Everything that comes over plain TCP until the other side ends it, after these bytes were sent. */
export function sendBytes(
  port: number,
  ...chunks: (string | Buffer)[]
): { socket: Socket; all: Promise<Buffer> } {
  const socket = connectTcp({ port, host: '127.0.0.1' })
  const received: Buffer[] = []
  socket.on('data', chunk => received.push(chunk))
  socket.on('error', () => undefined)
  for (const chunk of chunks) socket.write(chunk)
  const all = new Promise<Buffer>(resolve => socket.on('close', () => resolve(Buffer.concat(received))))
  return { socket, all }
}

/** The bytes of a WebSocket upgrade request; what follows may be any frames. */
export function upgradeRequest(port: number, headers: Readonly<Record<string, string>> = {}): string {
  const all = {
    Host: `127.0.0.1:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  }
  return `GET / HTTP/1.1\r\n${Object.entries(all)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`
}

/** One frame as a client sends it: masked, unless a test wants it otherwise (RFC 6455 §5.2). */
export function rawFrame(
  opcode: number,
  payload: Buffer,
  options: { readonly fin?: boolean; readonly masked?: boolean } = {},
): Buffer {
  const { fin = true, masked = true } = options
  const length = payload.length
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const header = Buffer.alloc(2 + extended + (masked ? 4 : 0))
  header[0] = (fin ? 0x80 : 0) | opcode
  header[1] = (masked ? 0x80 : 0) | (extended === 0 ? length : extended === 2 ? 126 : 127)
  if (extended === 2) header.writeUInt16BE(length, 2)
  if (extended === 8) header.writeBigUInt64BE(BigInt(length), 2)
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([header, payload])
}

/** The code and reason of the close frame at the end of a server's bytes, or `null`. */
export function closeIn(bytes: Buffer): RawClose | null {
  const start = bytes.lastIndexOf(0x88)
  if (start < 0) return null
  const body = bytes.subarray(start + 2, start + 2 + (bytes[start + 1] ?? 0))
  if (body.length < 2) return null
  return { code: body.readUInt16BE(0), reason: body.subarray(2).toString() }
}
