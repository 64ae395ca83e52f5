import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { afterEach, describe, expect, test } from 'vitest'
import { ManualClock } from './manual-clock.ts'
import { attempt, type RawPeer } from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN, until } from './test-gate.ts'

const open: TestGate[] = []
async function testGate(options: Parameters<typeof openTestGate>[0] = {}): Promise<TestGate> {
  const gate = await openTestGate({
    methods: { size: { scopes: [], handle: value => String(value).length } },
    ...options,
  })
  open.push(gate)
  return gate
}
afterEach(async () => {
  for (const gate of open.splice(0)) await gate.close()
})

async function connected(gate: TestGate, identity: DeviceIdentity): Promise<RawPeer> {
  const { hello, peer } = await attempt(gate.url, { identity, token: TOKEN })
  expect(hello).not.toBeNull()
  return peer
}

const sizeCall = (bytes: number) =>
  JSON.stringify({ type: 'req', id: 's', method: 'size', params: 'x'.repeat(bytes) })

/** The first part of a message, and nothing more of it. */
function begin(peer: RawPeer, text: string): void {
  peer.socket.send(text, { fin: false })
}

describe('connections of one device', () => {
  test('past the bound a further one is told to come again, and no other device is', async () => {
    const gate = await testGate({ limits: { connectionsPerDevice: 3 } })
    const identity = createEphemeralIdentity()
    const all = await Promise.all(
      Array.from({ length: 10 }, () => attempt(gate.url, { identity, token: TOKEN })),
    )
    const admitted = all.filter(({ hello }) => hello !== null)
    // Of those that come at the same moment some may be refused though there would have been room.
    expect(admitted.length).toBeLessThanOrEqual(3)
    for (let held = admitted.length; held < 3; held++) await connected(gate, identity)
    const { error, details, close } = await attempt(gate.url, { identity, token: TOKEN })
    expect(details).toMatchObject({ refusal: 'sockets-full', rule: '0' })
    expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    expect(close?.code).toBe(1013)
    await connected(gate, createEphemeralIdentity())
    gate.gate.connections()[0]?.close()
    await until(() => gate.gate.connections().length === 3)
    await connected(gate, identity)
  })

  test('peers without a device are bounded together', async () => {
    const gate = await testGate({
      limits: { connectionsPerDevice: 2 },
      deviceless: { scopes: ['operator.read'] },
    })
    const enter = () => attempt(gate.url, { identity: null, token: TOKEN })
    expect((await enter()).hello).not.toBeNull()
    expect((await enter()).hello).not.toBeNull()
    expect((await enter()).details).toMatchObject({ refusal: 'sockets-full' })
  })

  test('a promised token is not spent on a connection that is refused for want of room', async () => {
    const gate = await testGate({ limits: { connectionsPerDevice: 1 } })
    const identity = createEphemeralIdentity()
    const first = await connected(gate, identity)
    const by = { kind: 'store-writer' } as const
    await gate.store.rotateDeviceToken(identity.id, { by, role: 'operator', delivery: 'hello' })
    expect((await attempt(gate.url, { identity, token: TOKEN })).details).toMatchObject({
      refusal: 'sockets-full',
    })
    first.socket.close()
    await until(() => gate.gate.connections().length === 0)
    const { hello } = await attempt(gate.url, { identity, token: TOKEN })
    expect(hello).toMatchObject({ auth: { deviceToken: expect.any(String) } })
  })
})

describe('messages after hello', () => {
  test('one of more than a megabyte ends with 1009, which is what hello-ok says', async () => {
    const gate = await testGate()
    const { hello, peer } = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    expect(hello).toMatchObject({ policy: { maxPayload: 1_048_576 } })
    peer.send(sizeCall(1_048_000))
    expect(await peer.next()).toMatchObject({ ok: true, payload: 1_048_000 })
    peer.send(sizeCall(1_048_576))
    expect(await peer.closed).toEqual({ code: 1009, reason: 'frame too large' })
  })

  test('of too many unfinished ones the device that holds most pays, and nobody else', async () => {
    const gate = await testGate({ limits: { frameBytes: 200_000, unfinishedBytes: 1_000_000 } })
    const hoarder = createEphemeralIdentity()
    const honest = await connected(gate, createEphemeralIdentity())
    const text = sizeCall(150_000)
    begin(honest, text.slice(0, -1))
    for (let index = 0; index < 20; index++) begin(await connected(gate, hoarder), 'x'.repeat(190_000))
    const isCut = () =>
      gate.events.filter(event => event.event === 'closed' && event.cut === 'messages-unfinished').length
    await until(() => isCut() >= 15)
    expect(gate.gate.connections().length).toBeLessThanOrEqual(6)
    honest.socket.send(text.slice(-1), { fin: true })
    expect(await honest.next()).toMatchObject({ ok: true, payload: 150_000 })
  })

  test('one that was given up while unfinished counts no longer', async () => {
    const gate = await testGate({ limits: { frameBytes: 200_000, unfinishedBytes: 400_000 } })
    const identity = createEphemeralIdentity()
    for (let index = 0; index < 10; index++) {
      const peer = await connected(gate, identity)
      begin(peer, 'x'.repeat(190_000))
      peer.socket.ping()
      await new Promise(resolve => peer.socket.once('pong', resolve))
      peer.socket.terminate()
      await until(() => gate.gate.connections().length === 0)
    }
    expect(gate.events.filter(event => event.event === 'closed' && event.cut !== null)).toEqual([])
  })

  test('pongs between the parts of one cost as much as its bytes; those of a quiet peer cost nothing', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock, limits: { frameBytes: 65_536 } })
    const quiet = await connected(gate, createEphemeralIdentity())
    const hoarding = await connected(gate, createEphemeralIdentity())
    const pongs = (peer: RawPeer, count: number) => {
      for (let index = 0; index < count; index++) peer.socket.pong(Buffer.alloc(125))
    }
    let heard = ''
    quiet.socket.on('pong', payload => {
      heard = payload.toString()
    })
    for (let round = 0; round < 40; round++) {
      pongs(quiet, 100)
      quiet.socket.ping(`round ${round}`)
      await until(() => heard === `round ${round}`)
    }
    quiet.send(sizeCall(10))
    expect(await quiet.next()).toMatchObject({ ok: true, payload: 10 })
    begin(hoarding, '{')
    pongs(hoarding, 4_000)
    await until(() => gate.gate.connections().length === 1)
    clock.advance(1_000)
    await until(() => gate.events.some(event => event.event === 'closed' && event.cut === 'frame-too-large'))
  })

  test('one in thousands of parts ends with 1008', async () => {
    const gate = await testGate()
    const peer = await connected(gate, createEphemeralIdentity())
    for (let index = 0; index < 2_000; index++) begin(peer, 'x')
    expect(await peer.closed).toEqual({ code: 1008, reason: 'too many fragments' })
  })

  test('less room for unfinished messages than for one is a mistake', async () => {
    await expect(testGate({ limits: { unfinishedBytes: 1_000_000 } })).rejects.toThrow(TypeError)
  })
})
