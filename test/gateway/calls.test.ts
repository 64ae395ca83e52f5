import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { CallError, type Connection, createGate, type GateMessage, type GateMethod } from '@holdfast/gateway'
import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import { afterEach, describe, expect, test } from 'vitest'
import { ManualClock } from './manual-clock.ts'
import { attempt, type RawFrame, type RawPeer } from './raw-client.ts'
import { CEILING, openTestGate, type TestGate, TOKEN, until } from './test-gate.ts'

const open: TestGate[] = []
async function testGate(options: Parameters<typeof openTestGate>[0] = {}): Promise<TestGate> {
  const gate = await openTestGate(options)
  open.push(gate)
  return gate
}
afterEach(async () => {
  for (const gate of open.splice(0)) await gate.close()
})

async function connected(gate: TestGate, scopes: readonly string[] = ['operator.read']): Promise<RawPeer> {
  const { hello, peer } = await attempt(gate.url, {
    identity: createEphemeralIdentity(),
    token: TOKEN,
    scopes,
  })
  expect(hello).not.toBeNull()
  return peer
}

let callNumber = 0
async function call(peer: RawPeer, method: string, params: unknown = null): Promise<RawFrame> {
  const id = `c${callNumber++}`
  peer.send({ type: 'req', id, method, params })
  const answer = await peer.next()
  expect(answer).toMatchObject({ type: 'res', id })
  return answer
}

const METHODS: Record<string, GateMethod> = {
  echo: { scopes: [], handle: params => params },
  quiet: { scopes: [], handle: () => undefined },
  'notes.write': { scopes: ['operator.write'], handle: () => 'written' },
  'notes.purge': { scopes: ['operator.read', 'operator.admin'], handle: () => 'purged' },
  fail: {
    scopes: [],
    handle: () => {
      throw new Error('the password is hunter2')
    },
  },
  refuse: {
    scopes: [],
    handle: () => {
      throw new CallError('NOTE_LOCKED', 'somebody else is writing', { details: { by: 'x' } })
    },
  },
}

describe('calls that the gate answers', () => {
  test('a method is called with its parameters, and what it returns is the payload', async () => {
    const gate = await testGate({ methods: METHODS })
    const peer = await connected(gate)
    expect(await call(peer, 'echo', { a: [1, 'ü'] })).toMatchObject({ ok: true, payload: { a: [1, 'ü'] } })
    expect(await call(peer, 'quiet')).toMatchObject({ ok: true, payload: {} })
  })

  test('a scope is needed, itself or by one that implies it; what is missing is named', async () => {
    const gate = await testGate({ methods: METHODS })
    const reader = await connected(gate)
    expect(await call(reader, 'notes.write')).toMatchObject({
      ok: false,
      error: {
        code: 'FORBIDDEN',
        message: 'missing scope: operator.write',
        details: { missing: ['operator.write'] },
      },
    })
    expect(await call(reader, 'notes.purge')).toMatchObject({
      error: { message: 'missing scope: operator.admin', details: { missing: ['operator.admin'] } },
    })
    const writer = await connected(gate, ['operator.write'])
    expect(await call(writer, 'notes.write')).toMatchObject({ ok: true, payload: 'written' })
  })

  test('an unknown method is an error, also one that every object has', async () => {
    const gate = await testGate({ methods: METHODS })
    const peer = await connected(gate)
    for (const method of ['nothing', 'constructor', '__proto__', 'toString']) {
      expect(await call(peer, method)).toMatchObject({ ok: false, error: { code: 'INVALID_REQUEST' } })
    }
  })

  test('a handler that throws says nothing of itself to the peer, and everything to the host', async () => {
    const gate = await testGate({ methods: METHODS })
    const peer = await connected(gate)
    const answer = await call(peer, 'fail')
    expect(answer).toMatchObject({ ok: false, error: { code: 'UNAVAILABLE', message: 'internal error' } })
    expect(JSON.stringify(answer)).not.toContain('hunter2')
    expect(gate.events).toContainEqual(expect.objectContaining({ event: 'fault', part: 'method' }))
    expect(await call(peer, 'refuse')).toMatchObject({
      error: { code: 'NOTE_LOCKED', message: 'somebody else is writing', details: { by: 'x' } },
    })
  })

  test('details that cannot be written as JSON are an internal error to the peer, and a fault to the host', async () => {
    const nested = (depth: number): unknown => {
      let value: unknown = 1
      for (let level = 0; level < depth; level++) value = [value]
      return value
    }
    const circle: Record<string, unknown> = {}
    circle['self'] = circle
    const unspeakable: Record<string, Record<string, unknown>> = {
      deep: { nested: nested(200_000) },
      circle,
      big: { n: 1n },
    }
    const tell = {
      scopes: [],
      handle: (which: unknown) => {
        throw new CallError('NOTE_LOCKED', 'no', { details: unspeakable[String(which)] ?? {} })
      },
    }
    const gate = await testGate({ methods: { ...METHODS, tell } })
    const peer = await connected(gate)
    for (const which of Object.keys(unspeakable)) {
      expect(await call(peer, 'tell', which)).toMatchObject({
        ok: false,
        error: { code: 'UNAVAILABLE', message: 'internal error' },
      })
    }
    expect(gate.events.filter(event => event.event === 'fault' && event.part === 'method')).toHaveLength(3)
    expect(await call(peer, 'quiet')).toMatchObject({ ok: true })
  })

  test('more calls at once than the bound are refused, and the others are answered', async () => {
    const release: (() => void)[] = []
    const wait = {
      scopes: [],
      handle: () => new Promise<string>(resolve => release.push(() => resolve('done'))),
    }
    const gate = await testGate({ methods: { wait }, limits: { callsInFlight: 4 } })
    const peer = await connected(gate)
    for (let index = 0; index < 6; index++) peer.send({ type: 'req', id: `w${index}`, method: 'wait' })
    const refused = [await peer.next(), await peer.next()]
    expect(refused.map(frame => frame['error'])).toEqual([
      expect.objectContaining({ code: 'UNAVAILABLE', retryable: true }),
      expect.objectContaining({ code: 'UNAVAILABLE', retryable: true }),
    ])
    for (const each of release) each()
    for (let index = 0; index < 4; index++)
      expect(await peer.next()).toMatchObject({ ok: true, payload: 'done' })
  })

  test.each<[string, string | Buffer, string]>([
    ['no JSON', 'hello', 'invalid connect'],
    ['binary', Buffer.from('{}'), 'invalid connect'],
    ['a second connect', '{"type":"req","id":"2","method":"connect"}', 'one connect per socket'],
  ])('%s on an admitted socket ends it, with a reason', async (_name, frame, reason) => {
    const gate = await testGate({ methods: METHODS })
    const peer = await connected(gate)
    peer.send(frame)
    expect(await peer.closed).toEqual({ code: 1008, reason })
  })

  test('each interval a tick is sent; a peer that answers no ping for one is cut', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ methods: METHODS, clock })
    const peer = await connected(gate)
    const pinged = once(peer.socket, 'ping')
    clock.advance(30_000)
    expect(await peer.next()).toEqual({ type: 'event', event: 'tick', payload: { ts: clock.nowMs() } })
    await pinged
    // A call after the ping tells that its pong has arrived.
    await call(peer, 'quiet')
    clock.advance(30_000)
    expect(await peer.next()).toMatchObject({ event: 'tick' })
    clock.advance(29_999)
    const closed = until(() =>
      gate.events.some(event => event.event === 'closed' && event.cut === 'unresponsive'),
    )
    peer.socket.pause()
    clock.advance(1)
    clock.advance(30_000)
    clock.advance(1_000)
    await closed
    peer.socket.terminate()
  })

  test('a peer that does not read is cut before its unsent bytes pass the bound', async () => {
    const gate = await testGate({
      methods: { flood: { scopes: [], handle: (_params, { connection }) => flood(connection) } },
      limits: { bufferedBytes: 1_000_000 },
    })
    const flood = (connection: Connection) => {
      let sent = 0
      while (connection.send('noise', 'x'.repeat(10_000)) && sent < 100_000) sent += 1
      return sent
    }
    const peer = await connected(gate)
    peer.socket.pause()
    peer.send({ type: 'req', id: 'f', method: 'flood' })
    await until(() => gate.events.some(event => event.event === 'closed' && event.cut === 'slow-consumer'))
    expect(gate.gate.connections()).toEqual([])
    peer.socket.terminate()
  })
})

describe('frames of the author', () => {
  test('without methods the gate leaves the frames alone', async () => {
    const gate = await testGate()
    gate.gate.onConnection(connection => {
      connection.socket.on('message', (data, isBinary) => connection.socket.send(data, { binary: isBinary }))
    })
    const peer = await connected(gate)
    peer.send('{"anything":true}')
    expect(await peer.next()).toEqual({ anything: true })
  })

  test('onCall answers calls in the author’s own words', async () => {
    const gate = await testGate()
    gate.gate.onConnection(connection => {
      connection.onCall(({ method, params }, context) => ({
        method,
        params,
        same: context.connection === connection,
      }))
    })
    const peer = await connected(gate)
    expect(await call(peer, 'any.thing', 1)).toMatchObject({
      ok: true,
      payload: { method: 'any.thing', params: 1, same: true },
    })
  })

  test('a connection says what it is, and when it ends', async () => {
    const gate = await testGate()
    const connections: Connection[] = []
    gate.gate.onConnection(connection => connections.push(connection))
    const identity = createEphemeralIdentity()
    const { hello, peer } = await attempt(gate.url, {
      identity,
      token: TOKEN,
      scopes: ['operator.write', 'operator.approvals'],
    })
    const [connection] = connections
    if (connection === undefined) throw new Error('no connection')
    const { deviceId, role, scopes, rule } = connection
    expect({ deviceId, role, scopes, rule }).toEqual({
      deviceId: identity.id,
      role: 'operator',
      scopes: ['operator.approvals', 'operator.write'],
      rule: '10',
    })
    expect(hello).toMatchObject({ server: { connId: connection.connectionId } })
    expect(connection.holds('operator.read')).toBe(true)
    expect(connection.holds('operator.admin')).toBe(false)
    const ended = new Promise<number>(resolve => void connection.onClose(resolve))
    peer.socket.close(4321)
    expect(await ended).toBe(4321)
    expect(connection.send('late', null)).toBe(false)
    expect(await new Promise<number>(resolve => void connection.onClose(resolve))).toBe(4321)
    expect(gate.gate.connections()).toEqual([])
  })

  test('a listener that throws harms nobody, and is reported', async () => {
    const gate = await testGate()
    gate.gate.onConnection(() => {
      throw new Error('oops')
    })
    await connected(gate)
    expect(gate.events).toContainEqual(expect.objectContaining({ event: 'fault', part: 'listener' }))
  })
})

describe('listeners of the author', () => {
  test('one that throws when a connection ends is reported, and those after it are still told', async () => {
    const gate = await testGate()
    const told: number[] = []
    const connections: Connection[] = []
    gate.gate.onConnection(connection => {
      connections.push(connection)
      connection.onClose(() => {
        throw new Error('oops')
      })
      connection.onClose(async () => Promise.reject(new Error('oops, later')))
      connection.onClose(closeCode => void told.push(closeCode))
    })
    const peer = await connected(gate)
    peer.socket.close(4321)
    const faults = () => gate.events.filter(event => event.event === 'fault' && event.part === 'listener')
    await until(() => faults().length === 2)
    expect(told).toEqual([4321])
    connections[0]?.onClose(() => {
      throw new Error('oops, too late')
    })
    expect(faults()).toHaveLength(3)
    await connected(gate)
  })

  test('one that throws when a call is aborted is reported, and those after it are still told', async () => {
    const gate = await testGate()
    let told = 0
    let called = false
    gate.gate.onConnection(connection => {
      connection.onCall((_call, { signal }) => {
        called = true
        const gone = () => {
          told += 100
        }
        signal.addEventListener('abort', gone)
        signal.removeEventListener('abort', gone)
        signal.onabort = () => {
          throw new Error('oops')
        }
        signal.addEventListener('abort', () => {
          throw new Error('oops')
        })
        signal.addEventListener(
          'abort',
          {
            handleEvent: () => {
              told += 1
            },
          },
          { once: true },
        )
        return new Promise(() => undefined)
      })
    })
    const peer = await connected(gate)
    peer.send({ type: 'req', id: 'w', method: 'wait' })
    await until(() => called)
    peer.socket.terminate()
    await until(() => told > 0)
    expect(gate.events.filter(event => event.event === 'fault' && event.part === 'listener')).toHaveLength(2)
    expect(told).toBe(1)
  })
})

describe('what a host can watch', () => {
  test('the diagnostics channel carries the decision, and no credential', async () => {
    const gate = await testGate()
    const seen: GateMessage[] = []
    const listener = (message: unknown) => void seen.push(message as GateMessage)
    subscribe('holdfast:gateway', listener)
    await connected(gate)
    await attempt(gate.url, { identity: createEphemeralIdentity(), token: 'not-the-right-token-at-all' })
    unsubscribe('holdfast:gateway', listener)
    expect(seen.map(({ event, decision }) => [event.event, decision?.outcome, decision?.rule])).toEqual([
      ['admitted', 'admitted', '10'],
      ['refused', 'refused', '3'],
    ])
    const printed = JSON.stringify(seen.map(({ event, decision }) => [event, decision]))
    expect(printed).not.toContain(TOKEN)
    expect(printed).not.toContain('not-the-right-token-at-all')
  })

  test('M15: nothing that a peer chose stands in an event, but the name that the store has cleaned', async () => {
    const gate = await testGate({ trustedLocal: false })
    const nasty = 'a\u0007b\u202ec\nINFO admitted everybody'
    await attempt(gate.url, {
      identity: createEphemeralIdentity(),
      client: { displayName: nasty, version: nasty, instanceId: nasty },
      headers: { 'User-Agent': 'x INFO y' },
    })
    for (const text of gate.events.map(event => JSON.stringify(event))) {
      expect(text).not.toMatch(/\\n|\\u0007|\u202e|INFO y/)
    }
  })
})

describe('what an author must decide', () => {
  const options = () => ({
    store: open[0]?.store as TestGate['store'],
    identity: createEphemeralIdentity(),
    gatewayToken: TOKEN,
    roles: BUILT_IN_ROLES,
    trustedLocal: { ceiling: CEILING },
  })

  test('trustedLocal has no default', async () => {
    await testGate()
    const { trustedLocal: _left, ...without } = options()
    expect(() => createGate(without as never)).toThrow(TypeError)
    for (const trustedLocal of [
      true,
      null,
      {},
      { ceiling: 'operator.read' },
      { ceiling: ['operator.bogus'] },
    ]) {
      expect(() => createGate({ ...options(), trustedLocal } as never)).toThrow(TypeError)
    }
  })

  test.each([
    ['short', 'length'],
    ['a'.repeat(43), 'variety'],
    ['with blank with blank with', 'alphabet'],
    ['', 'length'],
  ])('a token like %j can be guessed', async (gatewayToken, reason) => {
    await testGate()
    expect(() => createGate({ ...options(), gatewayToken })).toThrow(
      expect.objectContaining({ code: 'GATEWAY_TOKEN_WEAK', detail: { minLength: 22, reason } }),
    )
  })

  test('a gate whose identity is a device in its own store admits nobody, and says so', async () => {
    const identity = createEphemeralIdentity()
    const first = await testGate()
    await attempt(first.url, { identity, token: TOKEN })
    const gate = createGate({ ...options(), identity })
    await expect(gate.ready).rejects.toMatchObject({
      code: 'IDENTITY_IS_DEVICE',
      detail: { deviceId: identity.id },
    })
    first.server.removeAllListeners('upgrade')
    gate.attach(first.server)
    const { details } = await attempt(first.url, { identity: createEphemeralIdentity(), token: TOKEN })
    expect(details).toMatchObject({ refusal: 'store-unavailable' })
    await gate.close()
  })

  test.each([
    [{ allowedOrigins: ['https://app.example/'] }],
    [{ allowedOrigins: ['*'] }],
    [{ trustedProxies: ['proxy'] }],
    [{ trustedProxies: ['0.0.0.0/0'] }],
    [{ localPeers: ['203.0.113.0/24'] }],
    [{ localPeers: ['172.18.0.5/16'] }],
    [{ limits: { handshakeMs: 0 } }],
    [{ limits: { bogus: 1 } }],
  ])('an option that could never work is a mistake: %j', async wrong => {
    await testGate()
    expect(() => createGate({ ...options(), ...wrong } as never)).toThrow(TypeError)
  })
})
