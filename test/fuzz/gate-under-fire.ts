import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { type Challenge, closeIn } from '../gateway/raw-client.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of this process's heap that are still in use. */
export async function heapInUse(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    collectGarbage()
    await new Promise(resolve => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

/** Open files and sockets of this process; `null` where the platform does not say. */
export function descriptors(): number | null {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : null
}

/** Whatever ends or would end a process, from now until it is stopped. */
export function watchForCrashes(): { readonly seen: unknown[]; stop(): void } {
  const seen: unknown[] = []
  const note = (error: unknown) => seen.push(error)
  const events = ['unhandledRejection', 'uncaughtException', 'warning'] as const
  for (const event of events) process.on(event, note)
  return {
    seen,
    stop: () => {
      for (const event of events) process.off(event, note)
    },
  }
}

/** What a peer that speaks bytes heard until its socket was closed. */
export interface Heard {
  /** The status of the HTTP answer; 101 where the upgrade was made. */
  readonly status: number | null
  /** The frames of text that came after the challenge, parsed. */
  readonly frames: readonly Readonly<Record<string, unknown>>[]
  readonly closeCode: number | null
}

/** A peer that speaks bytes. */
export interface BytePeer {
  /** Once its socket is closed. */
  readonly heard: Promise<Heard>
  /** How many bytes it has received. */
  received(): number
  /** Ends a request that was never whole: the HTTP server's own timeouts are not what is tested here. */
  endUnlessUpgraded(): void
}

/** A socket to the gate that sends `upgrade`, then what `answer` makes of the challenge, and listens until it is closed. */
export function speak(port: number, upgrade: Buffer, answer: (challenge: Challenge) => Buffer): BytePeer {
  const socket = connect({ port, host: '127.0.0.1' })
  let received = Buffer.alloc(0)
  const heard = new Promise<Heard>(resolve => {
    let answered = false
    socket.on('data', chunk => {
      received = Buffer.concat([received, chunk])
      const challenge = answered ? null : challengeIn(received)
      if (challenge === null) return
      answered = true
      socket.write(answer(challenge))
    })
    socket.on('error', () => undefined)
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(heardIn(received)))
    socket.write(upgrade)
  })
  return {
    heard,
    received: () => received.length,
    endUnlessUpgraded: () => {
      if (heardIn(received).status !== 101) socket.end()
    },
  }
}

/** The challenge in the bytes of an upgraded socket, or `null` where it has not come yet. */
export function challengeIn(received: Buffer): Challenge | null {
  const [first] = framesIn(afterHead(received))
  return first?.['event'] === 'connect.challenge' ? (first['payload'] as unknown as Challenge) : null
}

function heardIn(received: Buffer): Heard {
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(received.toString('latin1'))?.[1]
  const frames = status === '101' ? framesIn(afterHead(received)) : []
  const closeCode = status === '101' ? (closeIn(received)?.code ?? null) : null
  return { status: status === undefined ? null : Number(status), frames: frames.slice(1), closeCode }
}

function afterHead(received: Buffer): Buffer {
  const end = received.indexOf('\r\n\r\n')
  return end < 0 ? Buffer.alloc(0) : received.subarray(end + 4)
}

/** The whole frames of text that a server sent: never masked, never in fragments. */
function framesIn(bytes: Buffer): Record<string, unknown>[] {
  const frames: Record<string, unknown>[] = []
  let at = 0
  while (at + 2 <= bytes.length) {
    const short = (bytes[at + 1] ?? 0) & 0x7f
    const header = short === 126 ? 4 : short === 127 ? 10 : 2
    if (at + header > bytes.length) break
    const length =
      short === 126
        ? bytes.readUInt16BE(at + 2)
        : short === 127
          ? Number(bytes.readBigUInt64BE(at + 2))
          : short
    const end = at + header + length
    if (end > bytes.length) break
    if (((bytes[at] ?? 0) & 0x0f) === 1) frames.push(JSON.parse(bytes.subarray(at + header, end).toString()))
    at = end
  }
  return frames
}

/** The same key every time, so that what a person gave it stays given. */
export const IDENTITY: DeviceIdentity = createEphemeralIdentity()
