// A gate whose sockets are in memory: what an admission costs without a network, beside its cryptography alone, and beside one
// verification. Prints `null` when it is warm; each line of its input (so many) is answered with the times of all three,
// in turns, in µs: an admission from the `connect` to its promise, with the `hello-ok` on the way. It ends with its input.
import { generateKeyPairSync, randomBytes, randomUUID, sign, verify } from 'node:crypto'
import { EventEmitter } from 'node:events'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { WebSocket } from 'ws'
import { type BareParams, bareCryptography } from './bare-cryptography.ts'
import { connectFrame, type Family, IN_A_ROW } from './bench-client.ts'
import { openBenchGate } from './bench-gate.ts'

const [family = 'v3', devices = '0', comers = '1', warmUp = '0'] = process.argv.slice(2)
const identity = createEphemeralIdentity()
/** Those that come, one after the other, again and again. */
const identities = Array.from({ length: Number(comers) }, createEphemeralIdentity)
let turns = 0
const { gate, close } = await openBenchGate(identity, Number(devices))
const local = { address: '127.0.0.1', port: 80 }
const peer = { address: '127.0.0.1', headers: { host: '127.0.0.1:80' }, local }

/** As much of a WebSocket as a gate needs of one that it is handed. */
class MemorySocket extends EventEmitter {
  readyState: number = WebSocket.OPEN
  readonly bufferedAmount = 0
  sent: (text: string) => void = () => undefined

  send(text: string): void {
    this.sent(text)
  }

  /** The end, as ws tells of it. */
  end(): void {
    this.readyState = WebSocket.CLOSED
    this.emit('close', 1005)
  }
}

function nextComer(): DeviceIdentity {
  turns += 1
  return identities[turns % identities.length] ?? identity
}

function newConnect(challenge: { readonly nonce: string; readonly ts: number }): Buffer {
  const itself = { id: identity.id, port: local.port }
  return Buffer.from(connectFrame(family as Family, itself, challenge, nextComer()))
}

/** A peer that has answered its challenge: its `connect` is on the way. */
interface Waiting {
  readonly accepted: Promise<unknown>
  readonly socket: MemorySocket
  readonly frame: Buffer
}

function dial(): Waiting {
  const socket = new MemorySocket()
  let challenge = ''
  socket.sent = text => {
    challenge = text
  }
  const accepted = gate.accept(socket as unknown as WebSocket, peer)
  return { accepted, socket, frame: newConnect(JSON.parse(challenge).payload) }
}

async function admit({ accepted, socket, frame }: Waiting): Promise<number> {
  let answer = ''
  socket.sent = text => {
    answer = text
  }
  const startedMs = performance.now()
  socket.emit('message', frame, false)
  await accepted
  const tookMs = performance.now() - startedMs
  if (JSON.parse(answer).ok !== true) throw new Error(answer)
  return tookMs * 1_000
}

interface Unchecked {
  readonly frame: Buffer
  readonly nonce: string
  readonly challengedAtMs: number
  readonly connectionId: string
}

function unchecked(): Unchecked {
  const nonce = randomBytes(32).toString('base64url')
  const challengedAtMs = Date.now()
  const frame = newConnect({ nonce, ts: challengedAtMs })
  return { frame, nonce, challengedAtMs, connectionId: randomUUID() }
}

function checkAlone({ frame, ...socket }: Unchecked): number {
  const { params } = JSON.parse(String(frame)) as { readonly params: BareParams }
  const startedMs = performance.now()
  bareCryptography(identity, params, socket)
  return (performance.now() - startedMs) * 1_000
}

const pair = generateKeyPairSync('ed25519')
const message = randomBytes(300)
const signature = sign(null, message, pair.privateKey)

function verifyOnce(): number {
  const startedMs = performance.now()
  if (!verify(null, message, pair.publicKey, signature)) throw new Error('the signature is wrong')
  return (performance.now() - startedMs) * 1_000
}

async function play(count: number) {
  const times = { admission: [] as number[], cryptography: [] as number[], verification: [] as number[] }
  for (let turn = 0; turn < count; turn += IN_A_ROW) {
    // As often as sockets would: what waits for the event loop has its turn.
    await new Promise(resolve => setImmediate(resolve))
    const waiting = Array.from({ length: IN_A_ROW }, dial)
    for (const each of waiting) times.admission.push(await admit(each))
    for (const { socket } of waiting) socket.end()
    const alone = Array.from({ length: IN_A_ROW }, unchecked)
    for (const each of alone) times.cryptography.push(checkAlone(each))
    for (const _ of alone) times.verification.push(verifyOnce())
  }
  return times
}

await play(Number(warmUp))
console.log('null')
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await play(Number(line))))
}
await close()
