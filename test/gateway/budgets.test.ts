import { once } from 'node:events'
import { createEphemeralIdentity } from '@holdfast/identity'
import { afterEach, describe, expect, test } from 'vitest'
import { ManualClock } from './manual-clock.ts'
import { attempt, conclude, connectFrame, dial, type RawPeer, takeChallenge } from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN, until } from './test-gate.ts'

const open: TestGate[] = []
async function testGate(options: Parameters<typeof openTestGate>[0] = {}): Promise<TestGate> {
  const gate = await openTestGate(options)
  open.push(gate)
  return gate
}
afterEach(async () => {
  for (const gate of open.splice(0)) await gate.close()
})

const wrongToken = (index: number) => `wrong-token-number-${String(index).padStart(8, '0')}`

describe('time before authentication', () => {
  test('M11: who opens a socket and says nothing is told so, and cut, after five seconds', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock })
    const peer = await dial(gate.url)
    await takeChallenge(peer)
    clock.advance(4_999)
    peer.socket.ping()
    await once(peer.socket, 'pong')
    clock.advance(1)
    expect(await peer.next()).toMatchObject({
      event: 'connect.refused',
      payload: { error: { details: { refusal: 'handshake-timeout', rule: '0', limitMs: 5_000 } } },
    })
    expect(await peer.closed).toEqual({ code: 1008, reason: 'no connect in time' })
  })

  test('M11: the time ends with the hello: an admitted socket that says nothing stays', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock })
    const { peer } = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    clock.advance(20_000)
    peer.socket.ping()
    await once(peer.socket, 'pong')
    expect(peer.socket.readyState).toBe(1)
  })
})

describe('places before authentication', () => {
  test('a flood evicts a random one of its class with 1013, and a newcomer always gets in', async () => {
    const gate = await testGate({ limits: { unauthenticatedSockets: 8 } })
    const flood: RawPeer[] = []
    for (let index = 0; index < 30; index++) {
      const peer = await dial(gate.url)
      await takeChallenge(peer)
      flood.push(peer)
      await until(() => flood.filter(each => each.socket.readyState === 1).length <= 8)
    }
    const evicted = flood.filter(peer => peer.socket.readyState !== 1)
    expect(evicted).toHaveLength(22)
    for (const peer of evicted) {
      expect(await peer.closed).toEqual({ code: 1013, reason: 'too many sockets' })
      expect(peer.frames.at(-1)).toMatchObject({
        payload: { error: { details: { refusal: 'sockets-full' } } },
      })
    }
    const { hello } = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    expect(hello).not.toBeNull()
    for (const peer of flood) peer.socket.terminate()
  })

  test('peers of another class are not touched by it, nor are admitted ones', async () => {
    const gate = await testGate({
      limits: { unauthenticatedSockets: 4 },
      allowedOrigins: ['https://app.example'],
    })
    const local = await dial(gate.url)
    const { peer: live } = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    const pages = await Promise.all(
      Array.from({ length: 12 }, () => dial(gate.url, { origin: 'https://app.example' })),
    )
    await until(() => pages.filter(page => page.socket.readyState === 1).length === 4)
    local.send(
      connectFrame(await takeChallenge(local), { identity: createEphemeralIdentity(), token: TOKEN }),
    )
    expect((await conclude(local)).hello).not.toBeNull()
    expect(live.socket.readyState).toBe(1)
    for (const page of pages) page.socket.terminate()
  })
})

describe('wrong credentials', () => {
  /** Sends a wrong token and gives the socket, once the gate has decided. */
  async function guess(gate: TestGate, token: string): Promise<RawPeer> {
    const decided = gate.events.length
    const peer = await dial(gate.url)
    peer.send(connectFrame(await takeChallenge(peer), { identity: createEphemeralIdentity(), token }))
    await until(() => gate.events.length > decided)
    return peer
  }

  test('H4: the answers to different ones wait longer and longer, up to five seconds; nobody is locked out', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock })
    const before = gate.counts()
    for (const [index, delayMs] of [0, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000].entries()) {
      const peer = await guess(gate, wrongToken(index))
      if (delayMs > 0) {
        clock.advance(delayMs - 1)
        peer.socket.ping()
        await once(peer.socket, 'pong')
        expect(peer.frames).toHaveLength(1)
        clock.advance(1)
      }
      expect((await conclude(peer)).details).toMatchObject({ refusal: 'token-mismatch' })
    }
    expect(gate.counts()).toEqual(before)
    const right = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    expect(right.hello).not.toBeNull()
  })

  test('M13: a right token is not kept out or made to wait, however many guess and however many wait', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock, limits: { unauthenticatedSockets: 4, waitingForAnswer: 16 } })
    const guessing = []
    for (let index = 0; index < 40; index++) guessing.push(await guess(gate, wrongToken(index)))
    for (let round = 0; round < 3; round++) {
      const { hello } = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
      expect(hello).not.toBeNull()
    }
    for (const peer of guessing) peer.socket.terminate()
  })

  test('M13: a missing token is no failure, and the same wrong one again is no guess', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock, trustedLocal: false })
    for (let round = 0; round < 10; round++) {
      const { details } = await attempt(gate.url, { identity: createEphemeralIdentity() })
      expect(details).toMatchObject({ refusal: 'pairing-required' })
    }
    // With the clock standing still, an answer that had to wait would never come.
    for (let round = 0; round < 10; round++) {
      const { details } = await attempt(gate.url, {
        identity: createEphemeralIdentity(),
        token: wrongToken(0),
      })
      expect(details).toMatchObject({ refusal: 'token-mismatch' })
    }
  })

  test('H4: what looks like one wrong credential is another guess after 32 times, since a proof may hide many', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock, trustedLocal: false })
    const same = () => attempt(gate.url, { identity: createEphemeralIdentity(), token: wrongToken(0) })
    for (let round = 0; round < 32; round++) await same()
    const peer = await guess(gate, wrongToken(0))
    clock.advance(249)
    peer.socket.ping()
    await once(peer.socket, 'pong')
    expect(peer.frames).toHaveLength(1)
    clock.advance(1)
    expect((await conclude(peer)).details).toMatchObject({ refusal: 'token-mismatch' })
  })

  test('M12: IPv4 and its IPv6-mapped spelling are one source, and ::1 is loopback as 127.0.0.1 is', async () => {
    const gate = await testGate({ listenHost: '::' })
    const identity = createEphemeralIdentity()
    for (const host of ['127.0.0.1', '[::1]', '[::ffff:127.0.0.1]', '127.9.9.9']) {
      const { hello, peer } = await attempt(`ws://${host}:${gate.port}`, { identity, token: TOKEN })
      expect(hello).not.toBeNull()
      peer.socket.terminate()
    }
    const sources = gate.events.flatMap(event => (event.event === 'admitted' ? [event.source] : []))
    expect(new Set(sources)).toEqual(new Set(['127.0.0.1', '::1']))
  })
})

describe('every rejection', () => {
  test('F77: code and reason reach the client on every path of a live gate', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock, limits: { unauthenticatedSockets: 3 } })
    const reached: Record<string, { code: number; reason: string }> = {}
    const silent = await dial(gate.url)
    await takeChallenge(silent)
    clock.advance(5_000)
    reached['timeout'] = await silent.closed
    const { peer } = await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    const waiting = await dial(gate.url)
    await takeChallenge(waiting)
    const closing = gate.gate.close()
    reached['live socket at shutdown'] = await peer.closed
    reached['waiting socket at shutdown'] = await waiting.closed
    await closing
    expect(reached).toEqual({
      timeout: { code: 1008, reason: 'no connect in time' },
      'live socket at shutdown': { code: 1012, reason: 'gateway shutting down' },
      'waiting socket at shutdown': { code: 1012, reason: 'gateway shutting down' },
    })
  })

  test('F77: a closed gate answers an upgrade with 503, and says why', async () => {
    const gate = await testGate()
    gate.server.on('upgrade', (request, socket, head) => gate.gate.handleUpgrade(request, socket, head))
    await gate.gate.close()
    await expect(dial(gate.url)).rejects.toMatchObject({ status: 503, body: '{"refusal":"shutting-down"}' })
  })
})
