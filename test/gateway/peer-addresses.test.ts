import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { isPrivateRange } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import { afterEach, describe, expect, test } from 'vitest'
import { attempt, dial, sendBytes, takeChallenge, UpgradeRefused, upgradeRequest } from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN } from './test-gate.ts'

const open: { close(): Promise<unknown> }[] = []
async function testGate(options: Parameters<typeof openTestGate>[0] = {}): Promise<TestGate> {
  const gate = await openTestGate(options)
  open.push(gate)
  return gate
}
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
})

/** Connects with a fresh key and the right token, and lets go. */
async function answerTo(url: string, headers: Readonly<Record<string, string>> = {}) {
  const { hello, details, peer } = await attempt(url, {
    identity: createEphemeralIdentity(),
    token: TOKEN,
    headers,
  })
  peer.socket.terminate()
  return { admitted: hello !== null, refusal: details['refusal'], details }
}

/** What ssh -L and socat do: bytes go through as they are, and nothing says so. Gives the url to dial. */
async function openForwarder(gate: TestGate): Promise<string> {
  const forwarder = createServer(near => {
    const far = connect(gate.port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  })
  forwarder.listen(0, '127.0.0.1')
  await once(forwarder, 'listening')
  open.push({ close: () => new Promise(resolve => forwarder.close(resolve)) })
  return `ws://127.0.0.1:${(forwarder.address() as { port: number }).port}`
}

describe('a forwarder that leaves no mark', () => {
  test('C12: cannot be seen, and with trustedLocal: false gains nothing: a person is asked', async () => {
    const gate = await testGate({ trustedLocal: false })
    const through = await openForwarder(gate)
    for (const url of [gate.url, through]) {
      expect(await answerTo(url)).toMatchObject({ admitted: false, refusal: 'pairing-required' })
    }
    expect((await gate.store.listDevices()).items).toEqual([])
  })

  test('C12: with local trust it looks like a local program (negative control), and needs the token all the same', async () => {
    const gate = await testGate()
    const through = await openForwarder(gate)
    const before = gate.counts()
    const wrong = await attempt(through, { identity: createEphemeralIdentity(), token: 'x'.repeat(43) })
    expect(wrong.details).toMatchObject({ refusal: 'token-mismatch' })
    expect(gate.counts()).toEqual(before)
    expect(await answerTo(through)).toMatchObject({ admitted: true })
  })
})

describe('a proxy that is configured, on this machine', () => {
  const options = { trustedProxies: ['127.0.0.0/8'] }

  test('C12 C13: whatever comes from it is remote, also what it forgot to mark or marked as loopback', async () => {
    const gate = await testGate(options)
    const chains = ['203.0.113.9', '127.0.0.1, 203.0.113.9', '203.0.113.9, 127.0.0.1', '::1, 203.0.113.9']
    for (const headers of [{}, ...chains.map(chain => ({ 'X-Forwarded-For': chain }))]) {
      const { refusal, details } = await answerTo(gate.url, headers as Record<string, string>)
      expect(refusal).toBe('pairing-required')
      expect(details).not.toHaveProperty('command')
    }
    const sources = (await gate.store.listRequests()).items.map(request => request.source)
    expect(new Set(sources)).toEqual(new Set(['127.0.0.1', '203.0.113.9']))
    expect((await gate.store.listDevices()).items).toEqual([])
  })

  test.each([
    ...['127.0.0.1', '127.0.0.1, 127.0.0.1', '::1', '[::1]', '::ffff:127.0.0.1', '0:0:0:0:0:ffff:7f00:1'],
    ...['', 'garbage', '203.0.113.9, garbage', '127.1', '0x7f000001', '203.0.113.9:80'],
  ])('C13: a chain that says %j gets 403, and no challenge', async chain => {
    const gate = await testGate(options)
    const before = gate.counts()
    const refused = await dial(gate.url, { headers: { 'X-Forwarded-For': chain } }).catch(error => error)
    expect(refused).toBeInstanceOf(UpgradeRefused)
    expect(refused).toMatchObject({ status: 403, body: expect.stringContaining('proxy-unattributed') })
    expect(gate.counts()).toEqual(before)
    expect(gate.events).toMatchObject([{ event: 'refused', refusal: 'proxy-unattributed', rule: '1' }])
  })

  test('C13: a header sent twice is one chain: what the client wrote hides nothing that the proxy added', async () => {
    const gate = await testGate(options)
    for (const [first, second, status] of [
      ['127.0.0.1', '203.0.113.9', 101],
      ['203.0.113.9', '127.0.0.1, garbage', 403],
    ] as const) {
      const twice = `X-Forwarded-For: ${first}\r\nx-forwarded-for: ${second}\r\nConnection:`
      const { socket } = sendBytes(gate.port, upgradeRequest(gate.port).replace('Connection:', twice))
      const [answer] = (await once(socket, 'data')) as [Buffer]
      expect(answer.toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
      socket.destroy()
    }
  })
})

describe('what is refused before the upgrade', () => {
  test('C10 C11 M1: takes no place: whoever waits is not evicted by a thousandfold of it', async () => {
    const gate = await testGate({ limits: { unauthenticatedSockets: 1 } })
    const waiting = await dial(gate.url)
    await takeChallenge(waiting)
    const hostile = [{ Origin: 'https://evil.example' }, { Via: '1.1 x' }, { Host: 'evil.example' }]
    for (let round = 0; round < 20; round++) {
      const all = await Promise.allSettled(
        hostile.map(headers => dial(gate.url, { headers: headers as Record<string, string> })),
      )
      expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    }
    expect(waiting.socket.readyState).toBe(1)
    const newcomer = await dial(gate.url)
    await takeChallenge(newcomer)
    expect(await waiting.closed).toEqual({ code: 1013, reason: 'too many sockets' })
    newcomer.socket.terminate()
  })
})

/** An address of this machine by which it reaches itself as a peer of another network would. */
const OWN = Object.values(networkInterfaces())
  .flatMap(addresses => addresses ?? [])
  .find(({ address, internal }) => !internal && isPrivateRange(address) && !address.startsWith('fe80'))

describe.skipIf(OWN === undefined)('peers of another network, as containers are to each other', () => {
  const address = OWN?.address ?? ''
  const literal = address.includes(':') ? `[${address}]` : address

  test('F83: are remote by default, and count as local where they are configured; the token is needed in either case', async () => {
    const strict = await testGate({ listenHost: address })
    expect(await answerTo(`ws://${literal}:${strict.port}`)).toMatchObject({ refusal: 'pairing-required' })

    const open = await testGate({ listenHost: address, localPeers: [address] })
    const url = `ws://${literal}:${open.port}`
    const before = open.counts()
    expect((await attempt(url, { identity: createEphemeralIdentity() })).details).toMatchObject({
      refusal: 'pairing-required',
    })
    const wrong = await attempt(url, { identity: createEphemeralIdentity(), token: 'y'.repeat(43) })
    expect(wrong.details).toMatchObject({ refusal: 'token-mismatch' })
    expect(open.counts()['device']).toEqual(before['device'])
    expect(await answerTo(url)).toMatchObject({ admitted: true })
    expect(await answerTo(url, { 'X-Anything': '1' })).toMatchObject({ refusal: 'pairing-required' })
    expect((await open.store.listDevices()).items.map(({ trust }) => trust)).toEqual(['trusted-local'])
  })
})
