// Shakes hands with a server, so many times and so many at once, over the leanest WebSocket that will do, so that the server
// is what is measured. Warms up, prints `null` and waits for a line; then prints the time of each handshake, from
// dialling to hello, in ms.
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import process from 'node:process'
import { parseDeviceId } from '@holdfast/identity'
import { connectFrame, type Family } from './bench-client.ts'

const [portText = '0', gatewayIdText = '', family = 'v3', parallel = '1', count = '1', warmUp = '0'] =
  process.argv.slice(2)
const port = Number(portText)
const gatewayId = parseDeviceId(gatewayIdText)
if (gatewayId === null) throw new TypeError('no gateway id')
const gateway = { id: gatewayId, port }
const UPGRADE = [
  `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket`,
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
].join('\r\n')

// Unmeasured: until they are compiled, the functions of both sides take several times as long.
await play(Number(warmUp))
console.log('null')
for await (const _ of process.stdin) break
const startedMs = performance.now()
const times = await play(Number(count))
console.log(JSON.stringify({ tookMs: performance.now() - startedMs, times }))

/** So many handshakes, a new one as soon as one is done. */
async function play(handshakes: number): Promise<readonly number[]> {
  const times: number[] = []
  let left = handshakes
  const one = async () => {
    while (left-- > 0) times.push(await shakeHands())
  }
  await Promise.all(Array.from({ length: Number(parallel) }, one))
  return times
}

function shakeHands(): Promise<number> {
  const dialledMs = performance.now()
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let bytes = Buffer.alloc(0)
    let upgraded = false
    socket.write(UPGRADE)
    socket.on('error', reject)
    socket.on('data', chunk => {
      bytes = Buffer.concat([bytes, chunk])
      if (!upgraded) {
        const end = bytes.indexOf('\r\n\r\n')
        if (end < 0) return
        upgraded = true
        bytes = bytes.subarray(end + 4)
      }
      for (let text = takeText(); text !== null; text = takeText()) {
        const frame = JSON.parse(text)
        if (frame.type === 'event') {
          if (frame.event !== 'connect.challenge') reject(new Error(text))
          else socket.write(masked(connectFrame(family as Family, gateway, frame.payload)))
        } else if (frame.ok === true) {
          resolve(performance.now() - dialledMs)
          socket.destroy()
          // What comes after the hello, a ping for one, is no text.
          return
        } else reject(new Error(text))
      }
    })

    /** The next whole message of the server, which masks none (RFC 6455 §5.1). */
    function takeText(): string | null {
      const short = (bytes[1] ?? 0) & 0x7f
      const start = short === 126 ? 4 : 2
      if (bytes.length < start) return null
      const length = short === 126 ? bytes.readUInt16BE(2) : short
      if (bytes.length < start + length) return null
      const text = bytes.subarray(start, start + length).toString()
      bytes = bytes.subarray(start + length)
      return text
    }
  })
}

/** One text frame of a client (RFC 6455 §5.2). */
function masked(text: string): Buffer {
  const payload = Buffer.from(text)
  const mask = randomBytes(4)
  const header = Buffer.from([0x81, 0x80 | 126, payload.length >> 8, payload.length & 0xff, ...mask])
  for (let at = 0; at < payload.length; at += 1) payload[at] = (payload[at] ?? 0) ^ (mask[at & 3] ?? 0)
  return Buffer.concat([header, payload])
}
