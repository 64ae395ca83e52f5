import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createGate, type GateOptions } from '@holdfast/gateway'
import {
  BUILT_IN_ROLES,
  gatewayTokenMacKey,
  signGatewayAnswer,
  signHoldfastProof,
  transcriptBytes,
  verifyTranscriptMac,
} from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity, formatPublicKey } from '@holdfast/identity'
import { connectToGateway, type SpawnerError } from '@holdfast/spawner'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { startRelay } from '../openclaw/relay.ts'
import {
  attempt,
  type Challenge,
  CLIENT,
  conclude,
  connectFrame,
  dial,
  type RawFrame,
  takeChallenge,
} from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN, until } from './test-gate.ts'

const WISH = { role: 'operator', scopes: ['operator.read'], reconnect: false } as const
const AT_ONCE = { connectTimeoutMs: 0 } as const

interface Pinned extends TestGate {
  readonly gatewayId: DeviceIdentity['id']
}

async function gateFor(options: Partial<GateOptions> = {}): Promise<Pinned> {
  const identity = createEphemeralIdentity()
  const gate = await openTestGate({ identity, ...options })
  onTestFinished(() => gate.close())
  return { ...gate, gatewayId: identity.id }
}

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'connected',
    (error: SpawnerError) =>
      error.code === 'ADMISSION_REFUSED' ? Reflect.get(error.detail, 'refusal') : error.code,
  )
}

/** Takes connections in a gateway's place, keeps what it is sent, and answers as it is told. */
async function startImpostor(answer: (frame: RawFrame) => RawFrame | null, port = 0) {
  const server = new WebSocketServer({ host: '127.0.0.1', port })
  await once(server, 'listening')
  const heard: RawFrame[] = []
  server.on('connection', (socket: WebSocket) => {
    const payload = { nonce: 'a-nonce-of-the-impostor', ts: Date.now() }
    socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload }))
    socket.on('message', data => {
      const frame = JSON.parse(String(data)) as RawFrame
      heard.push(frame)
      const said = frame['method'] === 'connect' ? answer(frame) : null
      if (said !== null) socket.send(JSON.stringify(said))
    })
  })
  onTestFinished(() => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, heard }
}

/** A hello for whatever was asked, with or without an answer of this gateway key. */
function helloFor(frame: RawFrame, identity: DeviceIdentity | null): RawFrame {
  const { role, scopes } = frame['params'] as { role: string; scopes: string[] }
  const connId = 'connection-of-the-impostor'
  const outcome = { transcriptHash: new Uint8Array(32), connectionId: connId, role, scopes }
  const payload = {
    type: 'hello-ok',
    protocol: 4,
    server: { version: 'impostor', connId },
    auth: { role, scopes },
    ...(identity && { gateway: signGatewayAnswer(identity, outcome) }),
  }
  return { type: 'res', id: frame['id'], ok: true, payload }
}

/** A `connect` by holdfast/1, for a raw socket. */
function frameFor(
  challenge: Challenge,
  gate: Pinned,
  identity: DeviceIdentity,
  scopes = ['operator.read'],
  dialled = { address: '127.0.0.1', port: gate.port },
): RawFrame {
  const { fields } = signHoldfastProof({
    ...{ identity, challenge, gatewayId: gate.gatewayId, client: CLIENT, role: 'operator', scopes },
    dialled,
    credential: { kind: 'gateway-token', token: TOKEN },
  })
  const { id, mode, version, platform } = CLIENT
  const client = { id, mode, version, platform }
  const params = { minProtocol: 3, maxProtocol: 4, client, role: 'operator', scopes, ...fields }
  return { type: 'req', id: 'call-1', method: 'connect', params }
}

describe('L4: whoever takes the port first', () => {
  test('gets neither the gateway token nor a proof that is good elsewhere, and is not believed', async () => {
    const gate = await gateFor()
    const other = createEphemeralIdentity()
    for (const identity of [null, other]) {
      const impostor = await startImpostor(frame => helloFor(frame, identity))
      const to = { identity: createEphemeralIdentity(), url: impostor.url, token: TOKEN }
      expect(await codeOf(connectToGateway({ ...to, gatewayId: gate.gatewayId, ...WISH, ...AT_ONCE }))).toBe(
        'GATEWAY_UNPROVEN',
      )
      expect(impostor.heard).toHaveLength(1)
      expect(JSON.stringify(impostor.heard)).not.toContain(TOKEN)
      // What it heard is of no use at the real gateway.
      const peer = await dial(gate.url)
      await takeChallenge(peer)
      peer.send(impostor.heard[0] ?? {})
      expect((await conclude(peer)).details).toMatchObject({ refusal: 'nonce-mismatch', rule: '6' })
    }
    expect(gate.counts()).toMatchObject({ device: 0, request: 0 })
  })

  test("control: under OpenClaw's family it has the token, and is believed", async () => {
    const impostor = await startImpostor(frame => helloFor(frame, null))
    const to = { identity: createEphemeralIdentity(), url: impostor.url, token: TOKEN }
    await (await connectToGateway({ ...to, protocol: 'openclaw', ...WISH, ...AT_ONCE })).close()
    expect(JSON.stringify(impostor.heard)).toContain(TOKEN)
  })
})

describe('a relayed challenge', () => {
  const through = async (gate: Pinned, url: string, protocol: 'holdfast/1' | 'openclaw') => {
    const to = { identity: createEphemeralIdentity(), url, token: TOKEN, protocol, gatewayId: gate.gatewayId }
    return codeOf(connectToGateway({ ...to, ...WISH, ...AT_ONCE }))
  }

  test('is signed for the address that was dialled, and refused: address-mismatch, nothing stored', async () => {
    const gate = await gateFor()
    const relay = await startRelay(gate.url, () => true)
    onTestFinished(() => relay.close())
    expect(await through(gate, relay.url, 'holdfast/1')).toBe('address-mismatch')
    expect(gate.counts()).toMatchObject({ device: 0, request: 0 })
    const refused = gate.events.find(({ event }) => event === 'refused')
    expect(refused).toMatchObject({ refusal: 'address-mismatch', rule: '6' })
  })

  test("control: under OpenClaw's family it is admitted", async () => {
    const gate = await gateFor()
    const relay = await startRelay(gate.url, () => true)
    onTestFinished(() => relay.close())
    expect(await through(gate, relay.url, 'openclaw')).toBe('connected')
  })

  test('a name that clients dial, or a mapped port, is one of the gateway where its author says so', async () => {
    const dialled = { address: 'gateway.example.org', port: 443 }
    for (const publicAddresses of [[], ['gateway.example.org:444'], ['Gateway.Example.org:443']]) {
      const gate = await gateFor({ publicAddresses })
      const peer = await dial(gate.url)
      peer.send(frameFor(await takeChallenge(peer), gate, createEphemeralIdentity(), undefined, dialled))
      const { hello, details } = await conclude(peer)
      peer.socket.terminate()
      if (publicAddresses[0]?.endsWith(':443') === true) expect(hello).not.toBeNull()
      else expect(details).toMatchObject({ refusal: 'address-mismatch', dialled: 'gateway.example.org:443' })
    }
  })

  test('a public address that is none is refused when the gate is made', () => {
    const store = {} as never
    for (const address of ['example.org', 'ws://example.org:1', 'example.org:1/x', ':1', '']) {
      const identity = createEphemeralIdentity()
      const options = {
        store,
        identity,
        gatewayToken: TOKEN,
        roles: BUILT_IN_ROLES,
        trustedLocal: false,
      } as const
      expect(() => createGate({ ...options, publicAddresses: [address] })).toThrow(TypeError)
    }
  })
})

describe('H8: replay', () => {
  test('a captured connect is refused on another socket, and a second time on its own', async () => {
    const gate = await gateFor()
    const identity = createEphemeralIdentity()
    const first = await dial(gate.url)
    const frame = frameFor(await takeChallenge(first), gate, identity)
    first.send(frame)
    // The control: on its own socket it is admitted.
    expect((await conclude(first)).hello).toMatchObject({ type: 'hello-ok', gateway: {} })
    const second = await dial(gate.url)
    await takeChallenge(second)
    second.send(frame)
    expect((await conclude(second)).details).toMatchObject({ refusal: 'nonce-mismatch', rule: '6' })
    const third = await dial(gate.url)
    const spent = frameFor(await takeChallenge(third), gate, identity, ['operator.write'])
    const tampered = structuredClone(spent) as { params: { role: string } }
    tampered.params.role = 'node'
    third.send(tampered as unknown as RawFrame)
    third.send(spent)
    expect((await conclude(third)).hello).toBeNull()
    expect(gate.counts()).toMatchObject({ device: 1, request: 0 })
  })
})

describe('H2: scopes', () => {
  test('in another order they are the same wish; split, joined or widened they are refused', async () => {
    const gate = await gateFor()
    const outcomeOf = async (scopes: readonly string[]) => {
      const peer = await dial(gate.url)
      const identity = createEphemeralIdentity()
      const frame = frameFor(await takeChallenge(peer), gate, identity, ['operator.read', 'operator.write'])
      const params = { ...(frame['params'] as object), scopes }
      peer.send({ ...frame, params })
      const { hello, details } = await conclude(peer)
      peer.socket.terminate()
      return hello === null ? details['refusal'] : 'admitted'
    }
    expect(await outcomeOf(['operator.write', 'operator.read'])).toBe('admitted')
    expect(await outcomeOf(['operator.read', 'operator.admin'])).toBe('token-mismatch')
    expect(await outcomeOf(['operator.read'])).toBe('token-mismatch')
    expect(await outcomeOf(['operator.read,operator.write'])).toBe('malformed')
    expect(await outcomeOf(['operator.read', 'operator.read'])).toBe('wish-unknown')
  })
})

describe('H13: downgrade', () => {
  test('a device that proved itself by holdfast/1 is refused by v3 and v2 ever after; control: unless the author allows it', async () => {
    for (const allowOpenClawProof of [false, true]) {
      const gate = await gateFor({ allowOpenClawProof })
      const identity = createEphemeralIdentity()
      const strong = { identity, url: gate.url, gatewayId: gate.gatewayId, token: TOKEN, ...WISH }
      await (await connectToGateway(strong)).close()
      for (const version of ['v3', 'v2'] as const) {
        const { hello, details, peer } = await attempt(gate.url, { identity, token: TOKEN, version })
        peer.socket.terminate()
        if (allowOpenClawProof) expect(hello).not.toBeNull()
        else expect(details).toMatchObject({ refusal: 'proof-downgraded', rule: '7a' })
      }
    }
  })

  test('no answer of the other side makes a client of ours speak another family, or send a secret', async () => {
    const gatewayId = createEphemeralIdentity().id
    for (const code of [
      'PROTOCOL_MISMATCH',
      'DEVICE_AUTH_SIGNATURE_INVALID',
      'AUTH_TOKEN_MISMATCH',
      'INVALID_REQUEST',
    ]) {
      const error = { code: 'INVALID_REQUEST', message: 'speak the older one', details: { code } }
      const impostor = await startImpostor(frame => ({ type: 'res', id: frame['id'], ok: false, error }))
      const to = { identity: createEphemeralIdentity(), url: impostor.url, gatewayId, token: TOKEN }
      await codeOf(connectToGateway({ ...to, ...WISH, ...AT_ONCE }))
      expect(impostor.heard.length).toBeGreaterThan(0)
      for (const { params } of impostor.heard) expect(params).toMatchObject({ proof: 'holdfast/1' })
      expect(JSON.stringify(impostor.heard)).not.toContain(TOKEN)
    }
  })

  test('an address without a pin is not dialled: no family is guessed', async () => {
    const impostor = await startImpostor(() => null)
    const to = { identity: createEphemeralIdentity(), url: impostor.url, token: TOKEN }
    expect(await codeOf(connectToGateway({ ...to, ...WISH, ...AT_ONCE }))).toBe('GATEWAY_UNPINNED')
    expect(impostor.heard).toHaveLength(0)
  })
})

describe('a gateway that is swapped after hello', () => {
  test('is not come back to: no call reaches it; control: under the older family one does', async () => {
    for (const protocol of ['holdfast/1', 'openclaw'] as const) {
      const gate = await gateFor({ methods: {} })
      const connection = await connectToGateway({
        ...{
          identity: createEphemeralIdentity(),
          url: gate.url,
          gatewayId: gate.gatewayId,
          token: TOKEN,
          protocol,
        },
        ...{ role: 'operator', scopes: ['operator.read'], reconnectTimeoutMs: 2_000 },
      })
      await gate.close()
      const impostor = await startImpostor(frame => helloFor(frame, createEphemeralIdentity()), gate.port)
      const call = connection.call('secrets', { of: 'mine' }).catch((error: SpawnerError) => error.code)
      if (protocol === 'openclaw')
        await until(() => impostor.heard.some(({ method }) => method === 'secrets'))
      else await connection.closed
      const heard = JSON.stringify(impostor.heard)
      expect(heard.includes('"secrets"')).toBe(protocol === 'openclaw')
      expect(heard.includes(TOKEN)).toBe(protocol === 'openclaw')
      await connection.close()
      await call
    }
  })
})

describe('H9: clocks', () => {
  test('hours off on either side do not matter to holdfast/1; control: v3, signed at the time of the device, is refused', async () => {
    for (const hours of [-26, 26]) {
      const nowMs = () => Date.now() + hours * 3_600_000
      const after = (ms: number, run: () => void) => {
        const timer = setTimeout(run, ms)
        return () => clearTimeout(timer)
      }
      const gate = await gateFor({ clock: { nowMs, after } })
      const to = {
        identity: createEphemeralIdentity(),
        url: gate.url,
        gatewayId: gate.gatewayId,
        token: TOKEN,
      }
      await (await connectToGateway({ ...to, ...WISH })).close()
      const peer = await dial(gate.url)
      const { nonce } = await takeChallenge(peer)
      const own = frameFor({ nonce, ts: Date.now() }, gate, createEphemeralIdentity())
      peer.send(own)
      expect((await conclude(peer)).details).toMatchObject({ refusal: 'signature-expired', limitMs: 0 })
      const older = await dial(gate.url)
      const challenge = { ...(await takeChallenge(older)), ts: Date.now() }
      older.send(connectFrame(challenge, { identity: createEphemeralIdentity(), token: TOKEN }))
      expect((await conclude(older)).details).toMatchObject({
        refusal: 'signature-expired',
        limitMs: 120_000,
      })
    }
  })
})

describe('L3: a gateway token that is guessed offline', () => {
  const identity = createEphemeralIdentity()
  const gatewayId = createEphemeralIdentity().id
  const challenge = { nonce: 'any', ts: 1 }
  const dialled = { address: '127.0.0.1', port: 1 }
  const recordedUnder = (token: string) => {
    const wish = { identity, gatewayId, dialled, challenge, client: CLIENT, role: 'operator', scopes: [] }
    const { fields } = signHoldfastProof({ ...wish, credential: { kind: 'gateway-token', token } })
    const { clientNonce } = fields.device as { clientNonce: string }
    const transcript = transcriptBytes({
      ...{ ...wish, ...dialled, nonce: challenge.nonce, challengedAtMs: challenge.ts, clientNonce },
      ...{
        publicKey: formatPublicKey(identity.publicKey),
        credential: 'gateway-token',
        credentialSubject: '',
      },
    })
    const mac = String(fields.auth['mac'])
    return (guess: string) => verifyTranscriptMac(gatewayTokenMacKey(guess), transcript, mac)
  }

  test('could be, if a person had chosen it: so a gate takes none that is short or uniform', () => {
    const isIt = recordedUnder('1234')
    const found = Array.from({ length: 10_000 }, (_, pin) => String(pin)).find(isIt)
    expect(found).toBe('1234')
    const options = { store: {} as never, identity, roles: BUILT_IN_ROLES, trustedLocal: false } as const
    for (const weak of ['1234', 'correct-horse', 'a'.repeat(64)]) {
      expect(() => createGate({ ...options, gatewayToken: weak })).toThrow(
        expect.objectContaining({ code: 'GATEWAY_TOKEN_WEAK' }),
      )
    }
  })

  test('cannot be of the ones that are made here: a MAC tells nothing but whether a guess was all of it', () => {
    const isIt = recordedUnder(TOKEN)
    expect(isIt(TOKEN)).toBe(true)
    for (let at = 0; at < TOKEN.length; at += 1) {
      expect(isIt(TOKEN.slice(0, at))).toBe(false)
      expect(isIt(`${TOKEN.slice(0, at)}~${TOKEN.slice(at + 1)}`)).toBe(false)
    }
  })
})
