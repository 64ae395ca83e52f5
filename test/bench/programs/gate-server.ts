// A server to shake hands with, in a process of its own: the gate over a store with so many devices, or a bare `ws` server
// that does the same cryptography and nothing else. Prints one line once it listens; each line on its standard input is
// answered with what it has used so far; it ends with its input.
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { createGate, DEFAULT_LIMITS } from '@holdfast/gateway'
import {
  BUILT_IN_ROLES,
  defineRoles,
  gatewayTokenCommitment,
  gatewayTokenMacKey,
  type HoldfastConnect,
  type OpenClawConnect,
  openClawProofBytes,
  signGatewayAnswer,
  verifyHoldfastProof,
  verifyTranscriptMac,
} from '@holdfast/handshake'
import { createEphemeralIdentity, parsePublicKey, verifySignature } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'
import { type WebSocket, WebSocketServer } from 'ws'
import { BENCH_TOKEN, seedDevices } from './gate-seed.ts'

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
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const path = join(directory, 'store.sqlite')
  await (await openSqliteStore({ path })).close()
  seedDevices(path, count)
  const store = await openSqliteStore({ path })
  const gate = createGate({
    store,
    identity,
    gatewayToken: BENCH_TOKEN,
    roles: BUILT_IN_ROLES,
    trustedLocal: { ceiling: ['operator.read', 'operator.write'] },
    allowOpenClawProof: true,
    limits: { ...DEFAULT_LIMITS, connectionsPerDevice: 10_000 },
  })
  await gate.ready
  gate.attach(server)
  return async () => {
    await gate.close()
    await store.close()
    rmSync(directory, { recursive: true })
    process.exit()
  }
}

/** The cryptography of an admission, and no rule, no store, no check of a field. */
function openBare(): () => Promise<void> {
  const sockets = new WebSocketServer({ server, perMessageDeflate: false, clientTracking: false })
  const macKey = gatewayTokenMacKey(BENCH_TOKEN)
  const roles = defineRoles(BUILT_IN_ROLES)
  const commitment = gatewayTokenCommitment(BENCH_TOKEN)
  const verifiesMac = (transcript: Uint8Array, mac: string) => verifyTranscriptMac(macKey, transcript, mac)
  sockets.on('connection', (socket: WebSocket) => {
    const nonce = randomBytes(32).toString('base64url')
    const challengedAtMs = Date.now()
    const payload = { nonce, ts: challengedAtMs }
    socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload }))
    socket.once('message', data => {
      const { id, params } = JSON.parse(String(data))
      const { role, scopes, auth, client } = params
      const connId = randomUUID()
      const device = { ...params.device, signedAtMs: params.device.signedAt }
      let gateway: unknown
      if (params.proof === 'holdfast/1') {
        const connect = { ...params, family: 'holdfast/1', device, credential: auth } as HoldfastConnect
        const isOwnAddress = () => true
        const token = { commitment, verifiesMac }
        const context = { roles, gatewayId: identity.id, nonce, challengedAtMs, isOwnAddress, token }
        const { proof, transcriptHash } = verifyHoldfastProof(connect, context)
        if (proof.verdict !== 'verified') throw new Error(proof.verdict)
        gateway = signGatewayAnswer(identity, { transcriptHash, connectionId: connId, role, scopes })
      } else if (!isSigned({ ...params, device, client: { deviceFamily: null, ...client } })) {
        throw new Error('the signature is wrong')
      }
      const hello = { type: 'hello-ok', protocol: 4, server: { connId }, auth: { role, scopes }, gateway }
      socket.send(JSON.stringify({ type: 'res', id, ok: true, payload: hello }))
    })
  })
  return async () => process.exit()
}

function isSigned({ device, client, role, scopes, auth }: OpenClawConnect): boolean {
  const key = parsePublicKey(device?.publicKey ?? '')
  if (device === null || key === null) return false
  const bytes = openClawProofBytes('v3', {
    ...{ deviceId: device.id, client, role, scopes, signedAtMs: device.signedAtMs },
    ...{ credential: auth.token ?? '', nonce: device.nonce ?? '' },
  })
  return verifySignature(key, bytes, Buffer.from(device.signature, 'base64url'))
}
