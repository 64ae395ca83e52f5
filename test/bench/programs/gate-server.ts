// A server to shake hands with, in a process of its own: the gate over a store with so many devices, or a bare `ws` server
// that does the same cryptography and nothing else. Prints one line once it listens; each line on its standard input is
// answered with what it has used so far; it ends with its input.
import { randomBytes, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { createEphemeralIdentity } from '@holdfast/identity'
import { type WebSocket, WebSocketServer } from 'ws'
import { bareCryptography } from './bare-cryptography.ts'
import { openBenchGate } from './bench-gate.ts'

const [kind = 'bare', devices = '0'] = process.argv.slice(2)
const identity = createEphemeralIdentity()
const server = createServer()
const close = kind === 'ours' ? await openGate(Number(devices)) : openBare()
await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo
console.log(JSON.stringify({ port, gatewayId: identity.id }))
for await (const _ of createInterface({ input: process.stdin })) {
  const { user, system } = process.cpuUsage()
  console.log(JSON.stringify({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() }))
}
await close()

async function openGate(count: number): Promise<() => Promise<void>> {
  const { gate, close } = await openBenchGate(identity, count)
  gate.attach(server)
  return async () => {
    await close()
    process.exit()
  }
}

/** A server that does the cryptography of an admission and nothing else. */
function openBare(): () => Promise<void> {
  const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false })
  sockets.on('connection', (socket: WebSocket) => {
    const nonce = randomBytes(32).toString('base64url')
    const challengedAtMs = Date.now()
    const payload = { nonce, ts: challengedAtMs }
    socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload }))
    socket.once('message', data => {
      const { id, params } = JSON.parse(String(data))
      const { role, scopes } = params
      const connId = randomUUID()
      const gateway = bareCryptography(identity, params, { nonce, challengedAtMs, connectionId: connId })
      const hello = { type: 'hello-ok', protocol: 4, server: { connId }, auth: { role, scopes }, gateway }
      socket.send(JSON.stringify({ type: 'res', id, ok: true, payload: hello }))
    })
  })
  return async () => process.exit()
}
