import { createHash } from 'node:crypto'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  attempt,
  type ConnectFrame,
  type ConnectOptions,
  conclude,
  connectFrame,
  dial,
  type RawFrame,
  takeChallenge,
} from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN } from './test-gate.ts'

let gate: TestGate
let identity: DeviceIdentity

beforeAll(async () => {
  gate = await openTestGate({ methods: {} })
  identity = createEphemeralIdentity()
})
afterAll(() => gate.close())

/** The refusal of a `connect`, and that nothing was stored. */
async function refusal(options: Partial<ConnectOptions>) {
  const before = gate.counts()
  const { hello, details, close } = await attempt(gate.url, { identity, token: TOKEN, ...options })
  expect(hello).toBeNull()
  expect(gate.counts()).toEqual(before)
  return { refusal: details['refusal'], rule: details['rule'], code: close?.code, details }
}

const device = (change: (device: Record<string, unknown>) => Record<string, unknown>) => ({
  tamper: (frame: ConnectFrame): RawFrame => ({
    ...frame,
    params: { ...frame.params, device: change(frame.params.device ?? {}) },
  }),
})

const params = (change: Record<string, unknown>) => ({
  tamper: (frame: ConnectFrame): RawFrame => ({ ...frame, params: { ...frame.params, ...change } }),
})

describe('rule 4: a device is needed', () => {
  test('C3 L5: the shared token alone, with admin scopes of its own choice, gets nothing', async () => {
    const answer = await refusal({ identity: null, scopes: ['operator.admin'] })
    expect(answer).toMatchObject({ refusal: 'device-required', rule: '4', code: 1008 })
    expect(answer.details['code']).toBe('DEVICE_IDENTITY_REQUIRED')
  })

  test('C3: where the author lets such peers in, they get his list, whatever they ask for', async () => {
    const lenient = await openTestGate({ deviceless: { scopes: ['operator.read'] }, methods: {} })
    const { hello, peer } = await attempt(lenient.url, {
      identity: null,
      token: TOKEN,
      scopes: ['operator.admin', 'operator.pairing'],
    })
    expect(hello).toMatchObject({ auth: { scopes: ['operator.read'] } })
    const without = await attempt(lenient.url, { identity: null })
    expect(without.details).toMatchObject({ refusal: 'device-required' })
    peer.socket.terminate()
    await lenient.close()
  })
})

const SMALL_ORDER = {
  identity: '0100000000000000000000000000000000000000000000000000000000000000',
  'identity with sign bit': '0100000000000000000000000000000000000000000000000000000000000080',
  'order 2': 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'order 2 with sign bit': 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'order 4': '0000000000000000000000000000000000000000000000000000000000000000',
  'order 4, negative': '0000000000000000000000000000000000000000000000000000000000000080',
  'order 8': '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'order 8, negative': '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'order 8, other': 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'order 8, other, negative': 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  'y = p': 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'y = p + 1': 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
}

describe('rule 5: the key', () => {
  test.each(Object.entries(SMALL_ORDER))('C14: a keyless device (%s) is refused', async (_name, hex) => {
    const raw = Buffer.from(hex, 'hex')
    const everythingSignature = Buffer.concat([Buffer.from(SMALL_ORDER.identity, 'hex'), Buffer.alloc(32)])
    const forged = device(claim => ({
      ...claim,
      id: createHash('sha256').update(raw).digest('hex'),
      publicKey: raw.toString('base64url'),
      signature: everythingSignature.toString('base64url'),
    }))
    expect(await refusal(forged)).toMatchObject({ refusal: 'public-key-invalid', rule: '5', code: 1008 })
  })

  test('C16 H10: the id of one key with the key of another is refused before anything is looked up', async () => {
    const victim = createEphemeralIdentity()
    const known = await attempt(gate.url, { identity: victim, token: TOKEN })
    expect(known.hello).not.toBeNull()
    known.peer.socket.terminate()
    const answer = await refusal(device(claim => ({ ...claim, id: victim.id })))
    expect(answer).toMatchObject({ refusal: 'device-id-mismatch', rule: '5', code: 1008 })
    const stolen = await refusal(
      device(claim => ({ ...claim, id: victim.id, publicKey: victim.publicKey.toString() })),
    )
    expect(stolen).toMatchObject({ refusal: 'signature-invalid', rule: '7' })
  })

  test.each([
    ['upper case', (id: string) => id.toUpperCase()],
    ['a path', () => '../../x'],
    ['__proto__', () => '__proto__'],
  ])('H10: an id in %s is not the hash of its key', async (_name, change) => {
    const answer = await refusal(device(claim => ({ ...claim, id: change(String(claim['id'])) })))
    expect(answer).toMatchObject({ refusal: 'device-id-mismatch', rule: '5' })
  })
})

describe('rule 6: nonce and time', () => {
  test('H8: a captured frame is refused on another socket', async () => {
    const first = await dial(gate.url)
    const frame = connectFrame(await takeChallenge(first), { identity, token: TOKEN })
    first.send(frame)
    expect((await conclude(first)).hello).not.toBeNull()
    first.socket.terminate()
    const before = gate.counts()
    const second = await dial(gate.url)
    await takeChallenge(second)
    second.send(frame)
    expect((await conclude(second)).details).toMatchObject({ refusal: 'nonce-mismatch', rule: '6' })
    expect(gate.counts()).toEqual(before)
  })

  test('H8: a missing, an empty and a foreign nonce are refused', async () => {
    const nonces = [undefined, '', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA']
    for (const nonce of nonces) {
      const answer = await refusal(
        device(({ nonce: _own, ...claim }) => ({ ...claim, ...(nonce !== undefined && { nonce }) })),
      )
      expect(answer).toMatchObject({ refusal: 'nonce-mismatch', rule: '6', code: 1008 })
    }
  })

  test('H8: no two sockets are given the same nonce', async () => {
    const peers = await Promise.all(Array.from({ length: 20 }, () => dial(gate.url)))
    const nonces = await Promise.all(peers.map(async peer => (await takeChallenge(peer)).nonce))
    expect(new Set(nonces).size).toBe(20)
    for (const peer of peers) peer.socket.terminate()
  })

  test.each([[-180_000], [600_000], [-600_000]])(
    'H9: a proof %d ms off is expired, and says by how much',
    async offsetMs => {
      const before = gate.counts()
      const peer = await dial(gate.url)
      const challenge = await takeChallenge(peer)
      peer.send(connectFrame({ ...challenge, ts: challenge.ts + offsetMs }, { identity, token: TOKEN }))
      const { details } = await conclude(peer)
      expect(details).toMatchObject({ refusal: 'signature-expired', rule: '6', limitMs: 120_000 })
      expect(Math.abs(Number(details['deltaMs']) - offsetMs)).toBeLessThan(60_000)
      expect(gate.counts()).toEqual(before)
    },
  )

  test.each([['1'], [1.5], [1e308], [-1], [null]])('H9: %j is no time at all', async signedAt => {
    const answer = await refusal(device(claim => ({ ...claim, signedAt })))
    expect(answer).toMatchObject({ refusal: 'malformed', rule: '2', code: 1008 })
  })
})

const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

function plusGroupOrder(signature: string): string {
  const bytes = Buffer.from(signature, 'base64url')
  const scalar = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString('hex')}`) + GROUP_ORDER
  const hex = scalar.toString(16).padStart(64, '0')
  return Buffer.concat([bytes.subarray(0, 32), Buffer.from(hex, 'hex').reverse()]).toString('base64url')
}

describe('rule 7: the signature', () => {
  const signature = (change: (text: string) => string) =>
    device(claim => ({ ...claim, signature: change(String(claim['signature'])) }))

  test.each<[string, (text: string) => string]>([
    ['S + L', plusGroupOrder],
    ['63 bytes', text => Buffer.from(text, 'base64url').subarray(0, 63).toString('base64url')],
    [
      '65 bytes',
      text => Buffer.concat([Buffer.from(text, 'base64url'), Buffer.alloc(1)]).toString('base64url'),
    ],
    ['empty', () => ''],
    ['not base64url', () => '!'.repeat(86)],
    ['zeros', () => Buffer.alloc(64).toString('base64url')],
  ])('H12: a signature of %s is refused', async (_name, change) => {
    expect(await refusal(signature(change))).toMatchObject({
      refusal: 'signature-invalid',
      rule: '7',
      code: 1008,
    })
  })

  test('every signed field is signed: a changed one is refused', async () => {
    const { client } = (connectFrame({ nonce: 'n', ts: 1 }, { identity }) as ConnectFrame).params
    const changes = [
      { scopes: ['operator.write'] },
      { role: 'node', scopes: [] },
      { client: { ...(client as object), platform: 'win32' } },
      { client: { ...(client as object), id: 'other' } },
      { client: { ...(client as object), mode: 'backend' } },
    ]
    for (const change of changes) {
      expect(await refusal(params(change))).toMatchObject({ refusal: 'signature-invalid', rule: '7' })
    }
  })
})

describe('rule 2: the frame', () => {
  test.each<[string, unknown]>([
    ['an unknown scope', ['operator.bogus']],
    ['another role’s scope', ['node.read']],
    ['the same scope twice', ['operator.read', 'operator.read']],
  ])('H3: %s is unknown to the table', async (_name, scopes) => {
    const answer = await refusal(params({ scopes }))
    expect(answer).toMatchObject({ refusal: 'wish-unknown', rule: '2', code: 1008 })
  })

  test.each<[string, unknown]>([
    ['a wildcard', ['*']],
    ['a padded scope', [' operator.read ']],
    ['33 scopes', Array.from({ length: 33 }, (_, index) => `operator.x${index}`)],
    ['a scope of 65 characters', ['o'.repeat(65)]],
    ['an own __proto__ scope', ['__PROTO__']],
  ])('H3: %s is malformed', async (_name, scopes) => {
    const answer = await refusal(params({ scopes }))
    expect(answer).toMatchObject({ refusal: 'malformed', rule: '2', code: 1008 })
  })

  test.each([['admin'], ['__proto__'], ['constructor']])('H14: role %s is unknown', async role => {
    const answer = await refusal(params({ role, scopes: [] }))
    expect(answer).toMatchObject({ refusal: 'wish-unknown', rule: '2', code: 1008 })
  })

  test.each<[string, Record<string, unknown>]>([
    ['scopes as text', { scopes: 'operator.read' }],
    ['scopes as an object', { scopes: { 0: 'operator.read' } }],
    ['a token in an array', { auth: { token: [TOKEN] } }],
    ['a token as a number', { auth: { token: 1 } }],
    ['auth: null', { auth: null }],
    ['device: null', { device: null }],
    ['an unknown field', { extra: 1 }],
    ['an unknown credential', { auth: { secret: TOKEN } }],
    ['client: text', { client: 'cli' }],
    ['a protocol range upside down', { minProtocol: 4, maxProtocol: 3 }],
  ])('M7: %s is malformed', async (_name, change) => {
    const answer = await refusal(params(change))
    expect(answer).toMatchObject({ refusal: 'malformed', rule: '2', code: 1008 })
  })

  test('M7: an own __proto__ key and a doubled key change nothing that is decided on', async () => {
    const before = gate.counts()
    const proto = await dial(gate.url)
    const frame = JSON.stringify(connectFrame(await takeChallenge(proto), { identity, token: TOKEN }))
    proto.send(frame.replace('"params":{', '"params":{"__proto__":{"role":"operator"},'))
    expect((await conclude(proto)).details).toMatchObject({ refusal: 'malformed' })
    const doubled = await dial(gate.url)
    const signed = JSON.stringify(connectFrame(await takeChallenge(doubled), { identity, token: TOKEN }))
    doubled.send(
      signed
        .replace('"params":{', '"params":{"scopes":["operator.read"],')
        .replace(/("scopes":\["operator.read"\])(?!.*"scopes")/, '"scopes":["operator.write"]'),
    )
    expect((await conclude(doubled)).details).toMatchObject({ refusal: 'signature-invalid' })
    expect(gate.counts()).toEqual(before)
  })

  test.each([
    [5, 9],
    [1, 2],
  ])('a client that speaks %d to %d only is told what we speak', async (minProtocol, maxProtocol) => {
    const answer = await refusal(params({ minProtocol, maxProtocol }))
    expect(answer).toMatchObject({ refusal: 'protocol-mismatch', rule: '2', code: 1002 })
    expect(answer.details).toMatchObject({ code: 'PROTOCOL_MISMATCH', expectedProtocol: 4 })
  })

  test.each([
    [3, 3, 3],
    [4, 4, 4],
    [3, 4, 4],
    [1, 9, 4],
    [4, 5, 4],
  ])('a client that speaks %d to %d is answered in %d', async (minProtocol, maxProtocol, protocol) => {
    const { hello, peer } = await attempt(gate.url, {
      identity,
      token: TOKEN,
      ...params({ minProtocol, maxProtocol }),
    })
    expect(hello).toMatchObject({ type: 'hello-ok', protocol })
    peer.socket.terminate()
  })
})

describe('what is told to whom', () => {
  const wrong = 'Wr0ngTokenWr0ngTokenWr0ngToken12'
  const bad = device(claim => ({ ...claim, signature: Buffer.alloc(64, 1).toString('base64url') }))

  test('L2: with a wrong token every failure reads alike, whatever else is wrong', async () => {
    const victim = createEphemeralIdentity()
    const told = {
      code: 'AUTH_TOKEN_MISMATCH',
      refusal: 'token-mismatch',
      rule: '3',
      canRetryWithDeviceToken: true,
      recommendedNextStep: 'retry_with_device_token',
    }
    const variants: Partial<ConnectOptions>[] = [
      { identity: victim },
      bad,
      { identity: null },
      device(claim => ({ ...claim, id: victim.id })),
      device(claim => ({ ...claim, publicKey: SMALL_ORDER.identity })),
      device(({ nonce: _nonce, ...claim }) => claim),
      { identity: victim, scopes: ['operator.admin'] },
    ]
    for (const variant of variants) {
      const { details } = await refusal({ token: wrong, ...variant })
      expect(details).toEqual(told)
    }
    // By its own key it could find that out anyway; nobody else can.
    expect((await refusal({ token: wrong })).details).toEqual({ ...told, deviceKnown: true })
  })

  test('L2: without any credential the flaws of a proof read alike', async () => {
    const none = { auth: { token: null } }
    const variants: Partial<ConnectOptions>[] = [
      bad,
      device(claim => ({ ...claim, id: 'x' })),
      device(({ nonce: _n, ...claim }) => claim),
    ]
    for (const variant of variants) {
      const answer = await refusal({ ...none, ...variant })
      expect(answer).toMatchObject({ refusal: 'device-auth-invalid', code: 1008 })
    }
  })

  test('M2: no answer, event or close reason quotes a credential', async () => {
    const { error, close } = await attempt(gate.url, { identity, token: wrong })
    expect(JSON.stringify([error, close, gate.events])).not.toContain(wrong)
    expect(JSON.stringify(gate.events)).not.toContain(TOKEN)
  })
})
