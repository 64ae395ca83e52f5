import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { createEphemeralIdentity } from '@holdfast/identity'
import { afterEach, describe, expect, test } from 'vitest'
import { ManualClock } from './manual-clock.ts'
import {
  attempt,
  type ConnectFrame,
  type ConnectOptions,
  conclude,
  connectFrame,
  dial,
  type RawPeer,
  takeChallenge,
  upgradeRequest,
} from './raw-client.ts'
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

interface JoinedClaims {
  readonly scopes: readonly string[]
  readonly platform: string
  readonly family: string
}

/** A `connect` whose joined string is signed as an attacker would: whatever the fields hold, and sent as something else. */
async function sendJoined(gate: TestGate, signed: JoinedClaims, sent: JoinedClaims) {
  const identity = createEphemeralIdentity()
  const peer = await dial(gate.url)
  const challenge = await takeChallenge(peer)
  const frame = connectFrame(challenge, { identity, token: TOKEN }) as ConnectFrame
  const parts = [
    'v3',
    identity.id,
    'cli',
    'cli',
    'operator',
    signed.scopes.join(','),
    String(challenge.ts),
    TOKEN,
  ]
  const text = [...parts, challenge.nonce, signed.platform, signed.family].join('|')
  const signature = Buffer.from(identity.sign(Buffer.from(text))).toString('base64url')
  const { device, client } = frame.params
  peer.send({
    ...frame,
    params: {
      ...frame.params,
      scopes: sent.scopes,
      client: {
        ...(client as object),
        platform: sent.platform,
        ...(sent.family !== '' && { deviceFamily: sent.family }),
      },
      device: { ...device, signature },
    },
  })
  const { hello, details } = await conclude(peer)
  peer.socket.terminate()
  return { admitted: hello !== null, refusal: details['refusal'] }
}

describe('one signature, two meanings', () => {
  const plain = { scopes: ['operator.read'], platform: 'linux', family: 'desktop' }

  test('H2: no field holds the marks that join them, so that no signed string stands for two frames', async () => {
    const gate = await testGate()
    const before = gate.counts()
    const both = ['operator.read', 'operator.write']
    const pairs: readonly (readonly [JoinedClaims, JoinedClaims])[] = [
      [
        { ...plain, scopes: both },
        { ...plain, scopes: [both.join(',')] },
      ],
      [
        { ...plain, scopes: ['operator.read|x'] },
        { ...plain, scopes: ['operator.read|x'] },
      ],
      [plain, { ...plain, platform: 'linux|desktop', family: '' }],
      [
        { ...plain, platform: 'a|b' },
        { ...plain, platform: 'a', family: 'b|desktop' },
      ],
    ]
    for (const [signed, sent] of pairs) {
      expect(await sendJoined(gate, signed, sent)).toEqual({ admitted: false, refusal: 'malformed' })
    }
    expect(gate.counts()).toEqual(before)
  })

  test('H2: said as it was signed, such a frame is let in (negative control)', async () => {
    const gate = await testGate()
    expect(await sendJoined(gate, plain, plain)).toMatchObject({ admitted: true })
  })

  test('H13: what v2 leaves unsigned is not stored, and v3 refuses the change', async () => {
    const gate = await testGate()
    const elsewhere = (frame: ConnectFrame) => ({
      ...frame,
      params: { ...frame.params, client: { ...(frame.params['client'] as object), platform: 'elsewhere' } },
    })
    const old = createEphemeralIdentity()
    const { hello, peer } = await attempt(gate.url, {
      identity: old,
      token: TOKEN,
      version: 'v2',
      tamper: elsewhere,
    })
    expect(hello).not.toBeNull()
    peer.socket.terminate()
    expect(await gate.store.findDevice(old.id)).toMatchObject({ platform: null })
    const before = gate.counts()
    const identity = createEphemeralIdentity()
    const { details } = await attempt(gate.url, { identity, token: TOKEN, tamper: elsewhere })
    expect(details).toMatchObject({ refusal: 'signature-invalid' })
    expect(gate.counts()).toEqual(before)
  })
})

describe('a flood of strangers', () => {
  test('H6: of one source without the token opens 32 requests and not one more, and keeps nobody with the token out', async () => {
    const gate = await testGate()
    const answers = []
    for (let index = 0; index < 40; index++) {
      answers.push(await attempt(gate.url, { identity: createEphemeralIdentity() }))
    }
    const full = answers.slice(32)
    expect(answers.slice(0, 32).map(({ details }) => details['refusal'])).toEqual(
      Array(32).fill('pairing-required'),
    )
    for (const { details, close } of full) {
      expect(details).toMatchObject({ refusal: 'requests-full', rule: '13', cap: 'source' })
      expect(close).toEqual({ code: 1013, reason: 'too many open requests' })
    }
    expect(gate.counts()['request']).toBe(32)
    expect(
      (await attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })).hello,
    ).not.toBeNull()
  })

  test('M16 L5: on this machine, but without the token, nobody is registered; with it a device is, and nothing else', async () => {
    const gate = await testGate()
    expect((await attempt(gate.url, { identity: createEphemeralIdentity() })).details).toMatchObject({
      refusal: 'pairing-required',
    })
    expect((await attempt(gate.url, { identity: null, token: TOKEN })).details).toMatchObject({
      refusal: 'device-required',
    })
    expect((await gate.store.listDevices()).items).toEqual([])
    const identity = createEphemeralIdentity()
    const beyond = await attempt(gate.url, { identity, token: TOKEN, scopes: ['operator.admin'] })
    expect(beyond.details).toMatchObject({ refusal: 'pairing-required', missing: ['operator.admin'] })
    expect((await gate.store.listDevices()).items).toEqual([])
  })

  test('M20: no id that a peer chose becomes a path', async () => {
    const gate = await testGate()
    const folder = dirname(gate.storePath)
    const before = [await readdir(folder), await readdir(join(folder, '..'))].map(names => names.length)
    for (const id of ['../../x', '..\\x', '/tmp/x', 'x\0y', '%2e%2e%2fx']) {
      const { details } = await attempt(gate.url, {
        identity: createEphemeralIdentity(),
        token: TOKEN,
        tamper: frame => ({ ...frame, params: { ...frame.params, device: { ...frame.params.device, id } } }),
      })
      expect(details).toMatchObject({ refusal: 'device-id-mismatch' })
    }
    expect((await readdir(folder)).length).toBe(before[0])
  })
})

describe('the time that an answer takes', () => {
  const bad = (frame: ConnectFrame) => ({
    ...frame,
    params: {
      ...frame.params,
      device: { ...frame.params.device, signature: Buffer.alloc(64, 1).toString('base64url') },
    },
  })

  /** Sends each, and gives the peers once the gate has decided on all. */
  async function guessAll(gate: TestGate, all: readonly ConnectOptions[]): Promise<RawPeer[]> {
    const decided = gate.events.length
    const peers = []
    for (const options of all) {
      const peer = await dial(gate.url)
      peer.send(connectFrame(await takeChallenge(peer), options))
      peers.push(peer)
    }
    await until(() => gate.events.length >= decided + all.length)
    return peers
  }

  test('L2: says no more than its words: a wrong token waits as long for a known, a revoked and an unknown device, and for none', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock })
    const [known, revoked] = [createEphemeralIdentity(), createEphemeralIdentity()]
    for (const identity of [known, revoked]) {
      const { hello, peer } = await attempt(gate.url, { identity, token: TOKEN })
      expect(hello).not.toBeNull()
      peer.socket.terminate()
      await peer.closed
    }
    await gate.store.revokeDevice(revoked.id, { by: { kind: 'store-writer' } })
    const before = gate.counts()
    const guess = (token: string): readonly ConnectOptions[] => [
      { identity: known, token },
      { identity: revoked, token },
      { identity: createEphemeralIdentity(), token },
      { identity: null, token },
      { identity: known, token, tamper: bad },
      { identity: known, token, scopes: ['operator.admin'] },
    ]
    // The first wrong one is answered at once, the second after 250 ms: each time all six alike, to the millisecond.
    for (const [token, delayMs] of [
      ['first-wrong-token-0123456789', 0],
      ['second-wrong-token-0123456789', 250],
    ] as const) {
      const peers = await guessAll(gate, guess(token))
      if (delayMs > 0) {
        clock.advance(delayMs - 1)
        for (const peer of peers) {
          peer.socket.ping()
          await once(peer.socket, 'pong')
          expect(peer.frames).toHaveLength(1)
        }
        clock.advance(1)
      }
      const answers = await Promise.all(peers.map(conclude))
      // A device with a good proof of its own is told that it is known, which its key alone would tell it anyway.
      expect(answers.map(({ details }) => details['deviceKnown'] ?? false)).toEqual([
        ...[true, true],
        ...[false, false, false],
        true,
      ])
      const said = ({ error, close }: (typeof answers)[number]) =>
        JSON.stringify([error, close]).replace(/,"deviceKnown":true|"deviceKnown":true,/, '')
      expect(new Set(answers.map(said)).size).toBe(1)
      expect(answers[0]?.details).toMatchObject({ refusal: 'token-mismatch' })
    }
    expect(gate.counts()).toEqual(before)
  })

  test('H4: wrong device tokens and join codes are guesses too, whatever else is in the frame', async () => {
    const clock = new ManualClock()
    const gate = await testGate({ clock })
    const identity = createEphemeralIdentity()
    const guesses: readonly ConnectOptions[] = [
      { identity, auth: { deviceToken: 'hfd_not-a-live-one-0' } },
      { identity, auth: { bootstrapToken: 'not-a-join-code' }, tamper: bad },
      { identity, auth: { password: 'hunter2' }, scopes: ['operator.admin'] },
      { identity: null, auth: { token: 'not-the-gateway-token' } },
    ]
    for (const [index, options] of guesses.entries()) {
      const [peer] = await guessAll(gate, [options])
      if (peer === undefined) throw new TypeError('nobody was sent')
      if (index > 0) {
        peer.socket.ping()
        await once(peer.socket, 'pong')
        expect(peer.frames).toHaveLength(1)
        clock.advance([0, 250, 500, 1_000][index] ?? 0)
      }
      expect(['token-mismatch', 'device-token-mismatch', 'join-code-invalid']).toContain(
        (await conclude(peer)).details['refusal'],
      )
    }
  })
})

describe.skipIf(process.platform === 'win32')('a server that listens on a unix socket', () => {
  test('L6: has peers without an address, which no limit could count: the gate refuses them', async () => {
    const gate = await testGate()
    const server = createServer()
    const detach = gate.gate.attach(server)
    const path = join(dirname(gate.storePath), 'gate.sock')
    await new Promise<void>(resolve => server.listen(path, resolve))
    const socket = connect(path)
    socket.write(upgradeRequest(1))
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 403 .*proxy-unattributed/s)
    socket.destroy()
    detach()
    await new Promise(resolve => server.close(resolve))
  })
})
