import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { GateEvent } from '@holdfast/gateway'
import type { HelloOk } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import type { PairingStore } from '@holdfast/pairing-store'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { programPath } from '../support/processes.ts'
import { ManualClock } from './manual-clock.ts'
import { type Attempt, attempt, conclude, connectFrame, dial, takeChallenge } from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN, until } from './test-gate.ts'

const BY = { kind: 'store-writer' } as const
const OTHER_TOKEN = 'Another-Token-Of-Forty-Three-Characters-0123'

const open: TestGate[] = []
async function testGate(options: Parameters<typeof openTestGate>[0] = {}): Promise<TestGate> {
  const gate = await openTestGate(options)
  open.push(gate)
  return gate
}
afterEach(async () => {
  for (const gate of open.splice(0)) await gate.close()
})

async function admitted(
  gate: TestGate,
  identity: DeviceIdentity,
  scopes = ['operator.read'],
): Promise<Attempt> {
  const result = await attempt(gate.url, { identity, token: TOKEN, scopes })
  if (result.hello === null) throw new Error(JSON.stringify(result.details))
  return result
}

/** The store, with one of its methods standing in front of the real one. */
function withMethod(store: PairingStore, name: keyof PairingStore, method: unknown): PairingStore {
  return new Proxy(store, {
    get(target, key) {
      if (key === name) return method
      const value = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('revoked', () => {
  test('C1: the same key with the shared token is refused for good, and nothing is stored', async () => {
    const gate = await testGate()
    const identity = createEphemeralIdentity()
    const { peer } = await admitted(gate, identity)
    await gate.store.revokeDevice(identity.id, { by: BY })
    await peer.closed
    const before = gate.counts()
    for (let round = 0; round < 3; round++) {
      const { details, close } = await attempt(gate.url, { identity, token: TOKEN })
      expect(details).toMatchObject({ refusal: 'device-revoked', rule: '8' })
      expect(close).toEqual({ code: 1008, reason: 'device revoked' })
    }
    expect(gate.counts()).toEqual(before)
    await gate.store.reinstateDevice(identity.id, { by: BY })
    expect((await attempt(gate.url, { identity, token: TOKEN })).hello).not.toBeNull()
  })

  test('C1: and its program cannot come back under a new key: registration is closed for that token', async () => {
    const gate = await testGate()
    const identity = createEphemeralIdentity()
    await admitted(gate, identity)
    await gate.store.revokeDevice(identity.id, { by: BY })
    const { details } = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    expect(details).toMatchObject({ refusal: 'pairing-required', reason: 'not-paired' })
  })

  test('H1: every live socket of the device ends with 4001, its calls fail, and others stay', async () => {
    let started = 0
    let aborted = 0
    const gate = await testGate({
      methods: {
        wait: {
          scopes: [],
          handle: (_params, { signal }) =>
            new Promise((_resolve, reject) => {
              started += 1
              signal.addEventListener('abort', () => {
                aborted += 1
                reject(new Error('aborted'))
              })
            }),
        },
      },
    })
    const identity = createEphemeralIdentity()
    const sockets = [
      await admitted(gate, identity),
      await admitted(gate, identity),
      await admitted(gate, identity),
    ]
    const other = await admitted(gate, createEphemeralIdentity())
    for (const { peer } of sockets) peer.send({ type: 'req', id: 'w', method: 'wait' })
    await until(() => started === 3)
    await gate.store.revokeDevice(identity.id, { by: BY })
    for (const { peer } of sockets) {
      expect(await peer.closed).toEqual({ code: 4001, reason: 'device revoked' })
      // After the challenge and the hello not one frame more.
      expect(peer.frames).toHaveLength(2)
    }
    expect(aborted).toBe(3)
    expect(gate.gate.connections().map(each => each.deviceId)).toHaveLength(1)
    expect(other.peer.socket.readyState).toBe(1)
  })

  test('H1: by another process, too', async () => {
    const gate = await testGate()
    const identity = createEphemeralIdentity()
    const { peer } = await admitted(gate, identity)
    const program = programPath(new URL('programs/revoke.ts', import.meta.url))
    const child = spawn(process.execPath, ['--conditions=source', program, gate.storePath, identity.id], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdin.write('go')
    const [answer] = (await once(child.stdout, 'data')) as [Buffer]
    expect(JSON.parse(answer.toString())).toMatchObject({ outcome: 'changed' })
    expect(await peer.closed).toEqual({ code: 4001, reason: 'device revoked' })
    await until(() => gate.events.some(event => event.event === 'closed' && event.cut === 'device-revoked'))
  })

  test('H1: no revocation falls between the reading of the facts and the hello', async () => {
    const gate = await testGate()
    const identity = createEphemeralIdentity()
    await admitted(gate, identity)
    // The store admits, and before the gate hears of it the device is revoked and everybody has been told so.
    const slow = withMethod(gate.store, 'admit', async (attempt: Parameters<PairingStore['admit']>[0]) => {
      const answer = await gate.store.admit(attempt)
      await gate.store.revokeDevice(identity.id, { by: BY })
      return answer
    })
    const second = await testGate({ store: slow })
    const { peer } = await attempt(second.url, { identity, token: TOKEN })
    expect(await peer.closed).toEqual({ code: 4001, reason: 'device revoked' })
  })

  test('H1: without being told, such a session would live on (negative control)', async () => {
    const gate = await testGate()
    const identity = createEphemeralIdentity()
    await admitted(gate, identity)
    const deaf = withMethod(gate.store, 'subscribe', () => () => undefined)
    const second = await testGate({ store: deaf })
    const { peer } = await attempt(second.url, { identity, token: TOKEN })
    await gate.store.revokeDevice(identity.id, { by: BY })
    peer.socket.ping()
    await once(peer.socket, 'pong')
    expect(peer.socket.readyState).toBe(1)
    peer.socket.terminate()
  })

  test('narrowed below what a socket holds, it ends with 4001; one that holds less stays', async () => {
    const gate = await testGate()
    const identity = createEphemeralIdentity()
    const writing = await admitted(gate, identity, ['operator.write'])
    const reading = await admitted(gate, identity, ['operator.read'])
    await gate.store.narrowDevice(identity.id, { by: BY, role: 'operator', scopes: ['operator.read'] })
    expect(await writing.peer.closed).toEqual({ code: 4001, reason: 'scopes narrowed' })
    expect(reading.peer.socket.readyState).toBe(1)
  })
})

describe('wishes', () => {
  test('C2 F60: within the ceiling a scope is given without a person, above it a person is asked', async () => {
    const gate = await testGate()
    const identity = createEphemeralIdentity()
    await admitted(gate, identity, ['operator.read'])
    const wider = await admitted(gate, identity, ['operator.read', 'operator.write'])
    expect(wider.hello).toMatchObject({ auth: { scopes: ['operator.read', 'operator.write'] } })
    const { details, close } = await attempt(gate.url, { identity, token: TOKEN, scopes: ['operator.admin'] })
    expect(details).toMatchObject({
      code: 'PAIRING_REQUIRED',
      refusal: 'pairing-required',
      rule: '12',
      reason: 'scope-upgrade',
      missing: ['operator.admin'],
    })
    expect(close?.code).toBe(1008)
    const again = await admitted(gate, identity, ['operator.read'])
    expect(again.hello).toMatchObject({ auth: { scopes: ['operator.read'] } })
    expect((await gate.store.findDevice(identity.id))?.roles.map(role => role.grant)).toEqual([null])
  })

  test('C2 M22: what is given is what is asked for, never the ceiling, and no first wish narrows the next', async () => {
    const gate = await testGate()
    const identity = createEphemeralIdentity()
    for (const scopes of [[], ['operator.approvals'], ['operator.write'], ['operator.read']]) {
      expect((await admitted(gate, identity, scopes)).hello).toMatchObject({ auth: { scopes } })
    }
  })

  test('F49 F74: a refused wish can be found by its id at once, and a local peer is told the command', async () => {
    const gate = await testGate({ approveCommand: requestId => `my-app approve ${requestId}` })
    for (const role of ['operator', 'node']) {
      const { details } = await attempt(gate.url, {
        identity: createEphemeralIdentity(),
        role,
        scopes: role === 'node' ? [] : ['operator.read'],
      })
      const requestId = String(details['requestId'])
      expect(await gate.store.findRequest(requestId)).toMatchObject({ requestId, role })
      expect(details['command']).toBe(`my-app approve ${requestId}`)
    }
  })

  test('F48: approved in another connection to the store, the next connect is admitted', async () => {
    const gate = await testGate({ trustedLocal: false })
    const identity = createEphemeralIdentity()
    const { details } = await attempt(gate.url, { identity, token: TOKEN })
    const request = await gate.store.findRequest(String(details['requestId']))
    if (request === null) throw new Error('no request')
    await gate.store.approveRequest(request.requestId, { by: BY, expectedDigest: request.digest })
    const { hello, peer } = await attempt(gate.url, { identity })
    expect(hello).toMatchObject({ auth: { scopes: ['operator.read'] } })
    peer.socket.terminate()
    expect(gate.events.filter(event => event.event === 'request')).toHaveLength(1)
    await until(() =>
      gate.events.some(event => event.event === 'request-closed' && event.outcome === 'approved'),
    )
  })

  test('F50: a device that tries again and again opens one request, and people are told once', async () => {
    const gate = await testGate({ trustedLocal: false })
    const identity = createEphemeralIdentity()
    const ids = new Set<unknown>()
    for (let round = 0; round < 10; round++) {
      ids.add((await attempt(gate.url, { identity, token: TOKEN })).details['requestId'])
    }
    expect(ids.size).toBe(1)
    expect(gate.events.filter(event => event.event === 'request')).toHaveLength(1)
  })

  test('F55: twenty at once of one fresh identity: all admitted, one device; with a wrong token none, and nothing stored', async () => {
    const gate = await testGate()
    const before = gate.counts()
    const wrong = await Promise.all(
      Array.from({ length: 20 }, () =>
        attempt(gate.url, { identity: createEphemeralIdentity(), token: OTHER_TOKEN }),
      ),
    )
    for (const { details } of wrong) expect(details).toMatchObject({ refusal: 'token-mismatch' })
    expect(gate.counts()).toEqual(before)
    const identity = createEphemeralIdentity()
    const all = await Promise.all(
      Array.from({ length: 20 }, () => attempt(gate.url, { identity, token: TOKEN })),
    )
    expect(all.filter(({ hello }) => hello !== null)).toHaveLength(20)
    expect((await gate.store.listDevices()).items.map(device => device.trust)).toEqual(['trusted-local'])
  })

  test('F61: connections of one key at the same time have ids of their own, and each gets its own answers', async () => {
    const gate = await testGate({
      methods: { who: { scopes: [], handle: (params, { connection }) => [params, connection.connectionId] } },
    })
    const identity = createEphemeralIdentity()
    const all = await Promise.all(Array.from({ length: 32 }, () => admitted(gate, identity)))
    const ids = all.map(({ hello }) => (hello as unknown as HelloOk).server.connId)
    expect(new Set(ids).size).toBe(32)
    for (const [index, { peer }] of all.entries())
      peer.send({ type: 'req', id: 'same', method: 'who', params: index })
    const answers = await Promise.all(all.map(({ peer }) => peer.next()))
    expect(answers.map(answer => answer['payload'])).toEqual(ids.map((id, index) => [index, id]))
  })
})

describe('where a peer is', () => {
  test('F56: bound to every address, a peer over loopback is local and one from elsewhere is not', async () => {
    const gate = await testGate({ listenHost: '0.0.0.0' })
    const identity = createEphemeralIdentity()
    await admitted(gate, identity)
    const { details } = await fromAddress(gate, '198.51.100.4', identity)
    expect(details).toMatchObject({ refusal: 'pairing-required', reason: 'role-upgrade' })
    expect(details).not.toHaveProperty('command')
    const mapped = await fromAddress(gate, '::ffff:127.0.0.1', identity)
    expect(mapped.hello).not.toBeNull()
  })

  async function fromAddress(gate: TestGate, address: string, identity: DeviceIdentity): Promise<Attempt> {
    const server = createServer()
    const wss = new WebSocketServer({ server })
    wss.on('connection', (socket, { headers }) => {
      gate.gate.accept(socket, { address, headers }).catch(() => undefined)
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const peer = await dial(`ws://127.0.0.1:${port}`)
    peer.send(connectFrame(await takeChallenge(peer), { identity, token: TOKEN }))
    const result = await conclude(peer)
    peer.socket.terminate()
    await new Promise(resolve => server.close(resolve))
    return result
  }
})

describe('the gateway token', () => {
  test('H21: a new one is taken at the next connect; who showed the old one is told to come again', async () => {
    let token = TOKEN
    const gate = await testGate({ gatewayToken: () => token })
    const shown = await admitted(gate, createEphemeralIdentity())
    const identity = createEphemeralIdentity()
    await admitted(gate, identity)
    const byKeyAlone = await attempt(gate.url, { identity })
    token = OTHER_TOKEN
    const old = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    expect(old.details).toMatchObject({ refusal: 'token-mismatch' })
    expect(await shown.peer.closed).toEqual({ code: 1012, reason: 'gateway token rotated' })
    expect(byKeyAlone.peer.socket.readyState).toBe(1)
    expect((await attempt(gate.url, { identity, token: OTHER_TOKEN })).hello).not.toBeNull()
  })

  test('H21: put into the store by another hand, the old sockets end, too', async () => {
    const gate = await testGate()
    const { peer } = await admitted(gate, createEphemeralIdentity())
    await gate.store.putGatewayToken(OTHER_TOKEN)
    expect(await peer.closed).toEqual({ code: 1012, reason: 'gateway token rotated' })
  })

  test('a token that cannot be read, or could be guessed, lets nobody in and is reported', async () => {
    let token: () => string = () => TOKEN
    const gate = await testGate({ gatewayToken: () => token() })
    token = () => {
      throw new Error('no such file')
    }
    const before = gate.counts()
    const unreadable = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    expect(unreadable.details).toMatchObject({ refusal: 'store-unavailable' })
    token = () => 'short'
    expect(
      (await attempt(gate.url, { identity: createEphemeralIdentity(), token: 'short' })).close?.code,
    ).toBe(1013)
    expect(gate.counts()).toEqual(before)
    const faults = gate.events.filter(
      (event): event is GateEvent & { event: 'fault' } => event.event === 'fault',
    )
    expect(faults.map(fault => [fault.part, (fault.error as { code?: string }).code])).toEqual([
      ['gateway-token', 'GATEWAY_TOKEN_UNREADABLE'],
      ['gateway-token', 'GATEWAY_TOKEN_WEAK'],
    ])
  })
})

describe('the store gone', () => {
  test('nobody is admitted, live sockets last a minute, and it is over when it comes back', async () => {
    const clock = new ManualClock()
    const healthy = await testGate()
    let gone = false
    const failing = new Proxy(healthy.store, {
      get(target, key) {
        const value = Reflect.get(target, key, target)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (gone && key !== 'subscribe' && key !== 'noteSeen') return Promise.reject(new Error('gone'))
          return value.apply(target, args)
        }
      },
    })
    const gate = await testGate({ store: failing, clock })
    const { peer } = await admitted(gate, createEphemeralIdentity())
    gone = true
    const before = healthy.counts()
    const refused = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    expect(refused.details).toMatchObject({
      refusal: 'store-unavailable',
      recommendedNextStep: 'wait_then_retry',
    })
    expect(refused.close).toEqual({ code: 1013, reason: 'pairing store unavailable' })
    expect(refused.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    clock.advance(55_000)
    gone = false
    await admitted(gate, createEphemeralIdentity())
    gone = true
    expect(peer.socket.readyState).toBe(1)
    expect(healthy.counts()['device']).toBe((before['device'] ?? 0) + 1)
    for (let minute = 0; minute < 14; minute++) {
      clock.advance(5_000)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(await peer.closed).toEqual({ code: 1013, reason: 'pairing store unavailable' })
  })

  test('a file that was taken away under the gate is no empty store: nobody is admitted, and in a minute live sockets are cut', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock })
    const identity = createEphemeralIdentity()
    const { peer } = await admitted(gate, identity)
    rmSync(gate.storePath)
    const refusal = async () => {
      const { details } = await attempt(gate.url, { identity, token: TOKEN })
      return details['refusal']
    }
    await until(async () => (await refusal()) === 'store-unavailable')
    expect(existsSync(gate.storePath)).toBe(false)
    expect(peer.socket.readyState).toBe(1)
    for (let step = 0; step < 14; step++) {
      clock.advance(5_000)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(await peer.closed).toEqual({ code: 1013, reason: 'pairing store unavailable' })
  })
})
