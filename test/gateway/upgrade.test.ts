import { createServer } from 'node:http'
import { createEphemeralIdentity } from '@holdfast/identity'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import {
  attempt,
  conclude,
  connectFrame,
  dial,
  sendBytes,
  takeChallenge,
  UpgradeRefused,
  upgradeRequest,
} from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN } from './test-gate.ts'

let gate: TestGate
const PROXY = '192.0.2.7'

beforeAll(async () => {
  gate = await openTestGate({
    allowedHosts: ['gate.example'],
    allowedOrigins: ['https://app.example'],
    trustedProxies: [PROXY],
  })
})
afterAll(() => gate.close())

/** What the peer is told before the upgrade, and that nothing was stored and no challenge was made. */
async function refusedUpgrade(headers: Record<string, string>, origin?: string) {
  const before = gate.counts()
  const error = await dial(gate.url, { headers, ...(origin !== undefined && { origin }) }).then(
    peer => peer.closed.then(() => null),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(UpgradeRefused)
  expect(gate.counts()).toEqual(before)
  const { status, body } = error as UpgradeRefused
  return { status, refusal: JSON.parse(body).refusal as string }
}

describe('before the upgrade', () => {
  test.each([
    ['https://evil.example'],
    ['null'],
    ['chrome-extension://abcdefghijklmnop'],
    ['http://localhost:9999'],
    ['https://app.example:8443'],
    ['https://app.example.evil.example'],
    ['https://APP.example'],
  ])('C10: a page from %s gets 403, not a challenge', async origin => {
    expect(await refusedUpgrade({}, origin)).toEqual({ status: 403, refusal: 'origin-rejected' })
  })

  test('C10: a page from an origin on the exact list is upgraded, and is never local', async () => {
    const identity = createEphemeralIdentity()
    const { details } = await attempt(gate.url, { identity, token: TOKEN, origin: 'https://app.example' })
    expect(details).toMatchObject({ refusal: 'pairing-required', rule: '12' })
    expect(details).not.toHaveProperty('command')
  })

  test.each([
    ['X-Forwarded-For', '203.0.113.9'],
    ['X-Forwarded-For', '127.0.0.1'],
    ['X-Forwarded-Host', 'gate.example'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Real-IP', '203.0.113.9'],
    ['Forwarded', 'for=203.0.113.9'],
    ['Via', '1.1 proxy'],
    ['CF-Connecting-IP', '203.0.113.9'],
    ['True-Client-IP', '203.0.113.9'],
    ['Tailscale-User-Login', 'somebody@example.org'],
  ])('C11: %s without a configured proxy gets 403 (%s)', async (name, value) => {
    expect(await refusedUpgrade({ [name]: value })).toEqual({ status: 403, refusal: 'proxy-unattributed' })
  })

  test('C11: a header that nobody has heard of may be the mark of a proxy: the peer is not local', async () => {
    const identity = createEphemeralIdentity()
    const { details } = await attempt(gate.url, { identity, token: TOKEN, headers: { 'X-Edge-Trace': '1' } })
    expect(details).toMatchObject({ refusal: 'pairing-required' })
    const direct = await attempt(gate.url, { identity, token: TOKEN })
    expect(direct.hello).not.toBeNull()
    direct.peer.socket.terminate()
  })

  test.each([
    ['evil.example'],
    ['evil.example:80'],
    ['127.0.0.1.evil.example'],
    ['localhost.'],
    ['gate.example, evil'],
  ])('M1: Host %s gets 403', async host => {
    expect(await refusedUpgrade({ Host: host })).toEqual({ status: 403, refusal: 'host-rejected' })
  })

  test.each([['localhost:1'], ['[::1]'], ['gate.example'], ['GATE.example:8443']])(
    'M1: Host %s goes on to a challenge',
    async host => {
      const peer = await dial(gate.url, { headers: { Host: host } })
      expect((await takeChallenge(peer)).nonce).toMatch(/^[A-Za-z0-9_-]{43}$/)
      peer.socket.terminate()
    },
  )

  test('M1: a doubled Host, or none, gets no upgrade', async () => {
    const doubled = upgradeRequest(gate.port).replace('Connection:', 'Host: evil.example\r\nConnection:')
    expect((await sendBytes(gate.port, doubled).all).toString()).toMatch(/^HTTP\/1\.1 40[03] /)
    const absent = upgradeRequest(gate.port).replace(/^Host: .*\r\n/m, '')
    expect((await sendBytes(gate.port, absent).all).toString()).toMatch(/^HTTP\/1\.1 40[03] /)
  })

  test('M2: a token in the address or in a header is not a credential', async () => {
    const before = gate.counts()
    const headers = { Authorization: `Bearer ${TOKEN}` }
    const identity = createEphemeralIdentity()
    const peer = await attempt(`${gate.url}/?token=${TOKEN}`, { identity: null, headers })
    expect(peer.details).toMatchObject({ refusal: 'device-required' })
    expect(gate.counts()).toEqual(before)
    const asked = await attempt(`${gate.url}/?token=${TOKEN}`, { identity, headers })
    expect(asked.details).toMatchObject({ refusal: 'pairing-required' })
    expect(JSON.stringify([peer.error, asked.error, gate.events])).not.toContain(TOKEN)
  })
})

describe('through a proxy', () => {
  test('C13 F66: a listed proxy names the client, which is remote; the gate never calls it local', async () => {
    const { attempts, close } = await behindProxy()
    const answers = await attempts(
      { 'X-Forwarded-For': '203.0.113.9' },
      { 'X-Forwarded-For': '127.0.0.1, 203.0.113.9' },
    )
    for (const { details } of answers) expect(details).toMatchObject({ refusal: 'pairing-required' })
    expect((await gate.store.listRequests()).items.map(request => request.source)).toContain('203.0.113.9')
    await close()
  })

  test.each([['127.0.0.1'], ['203.0.113.9, 127.0.0.1'], ['::1'], ['::ffff:127.0.0.1'], ['garbage'], ['']])(
    'C13: a forwarded chain that ends in %j names nobody',
    async chain => {
      const before = gate.counts()
      const { attempts, close } = await behindProxy()
      const [answer] = await attempts({ 'X-Forwarded-For': chain })
      expect(answer?.details).toEqual({})
      expect(answer?.close).toEqual({ code: 1008, reason: 'forwarding header without a configured proxy' })
      expect(gate.counts()).toEqual(before)
      await close()
    },
  )
})

/** A server of its own that upgrades by itself, and hands the sockets over as the proxy's. */
async function behindProxy() {
  const server = createServer()
  const wss = new WebSocketServer({ server })
  wss.on('connection', (socket, request) => {
    gate.gate.accept(socket, { address: PROXY, headers: request.headers }).catch(() => undefined)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    async attempts(...all: Record<string, string>[]) {
      const answers = []
      for (const headers of all) {
        const peer = await dial(`ws://127.0.0.1:${port}`, { headers })
        const first = await takeChallenge(peer).catch(() => null)
        if (first === null) {
          answers.push({ details: {}, close: await peer.closed })
          continue
        }
        peer.send(connectFrame(first, { identity: createEphemeralIdentity(), token: TOKEN }))
        const { details, close } = await conclude(peer)
        answers.push({ details, close })
      }
      return answers
    },
    async close() {
      for (const socket of wss.clients) socket.terminate()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
