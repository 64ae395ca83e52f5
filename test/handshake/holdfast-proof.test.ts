import { joinCodeKey, outcomeBytes, signGatewayAnswer, verifyGatewayAnswer } from '@holdfast/handshake'
import { createEphemeralIdentity, deviceIdOf, formatPublicKey } from '@holdfast/identity'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CHALLENGE, CREDENTIALS, DEVICE, GATEWAY, proofOf, readingOf, TOKEN } from './holdfast-frame.ts'

describe('a holdfast/1 proof', () => {
  test.each(CREDENTIALS)(
    'with the credential %o is verified, and shows it without sending it',
    credential => {
      const { frame, transcriptHash } = proofOf({ credential })
      const reading = readingOf(frame)
      expect(reading.proof).toMatchObject({
        verdict: 'verified',
        proof: {
          family: 'holdfast/1',
          deviceId: DEVICE.id,
          client: { platform: 'linux', deviceFamily: null },
        },
      })
      expect(reading.credential.kind).toBe(
        { 'device-key': 'none', 'join-code': 'join-key' }[credential.kind as string] ?? credential.kind,
      )
      expect(Buffer.from(reading.transcriptHash)).toEqual(Buffer.from(transcriptHash))
      const sent = JSON.stringify(frame)
      if (credential.kind === 'gateway-token') expect(sent).not.toContain(credential.token)
      if (credential.kind === 'join-code') {
        expect(sent).not.toContain(credential.code.slice(4, -6))
        expect(reading.credential).toEqual({ kind: 'join-key', key: joinCodeKey(credential.code) })
      }
    },
  )

  test('L3: a frame holds no byte of the gateway token, in any usual spelling', () => {
    const sent = JSON.stringify(proofOf().frame)
    const raw = Buffer.from(TOKEN)
    for (const spelling of [TOKEN, raw.toString('hex'), raw.toString('base64'), raw.toString('base64url')]) {
      for (let at = 0; at + 8 <= spelling.length; at += 1)
        expect(sent).not.toContain(spelling.slice(at, at + 8))
    }
  })

  test('two proofs of one wish share neither nonce, MAC nor signature', () => {
    const [first, second] = [proofOf(), proofOf()].map(({ frame }) => frame.params)
    expect(first?.device['clientNonce']).not.toBe(second?.device['clientNonce'])
    expect(first?.auth['mac']).not.toBe(second?.auth['mac'])
    expect(first?.device['signature']).not.toBe(second?.device['signature'])
  })

  test('the order of the scopes does not matter, and which they are does', () => {
    const { frame } = proofOf()
    const scopes = ['operator.write', 'operator.read']
    const reordered = { ...frame, params: { ...frame.params, scopes } }
    expect(readingOf(reordered).proof.verdict).toBe('verified')
    for (const other of [
      ['operator.write'],
      [...scopes, 'operator.admin'],
      ['operator.read', 'operator.admin'],
    ]) {
      const changed = readingOf({ ...frame, params: { ...frame.params, scopes: other } })
      expect([changed.proof.verdict, changed.credential.kind]).toEqual(['signature-invalid', 'wrong'])
    }
  })
})

describe('rule 6: a proof is for one socket of one gateway', () => {
  test.each([
    ['another gateway', { gatewayId: createEphemeralIdentity().id }, 'gateway-mismatch'],
    ['another socket', { nonce: 'another' }, 'nonce-mismatch'],
    ['a nonce that was spent', { nonce: null }, 'nonce-mismatch'],
    ['a challenge one millisecond later', { challengedAtMs: CHALLENGE.ts + 1 }, 'signature-expired'],
    ['a challenge one millisecond earlier', { challengedAtMs: CHALLENGE.ts - 1 }, 'signature-expired'],
    ['another address', { isOwnAddress: () => false }, 'address-mismatch'],
  ] as const)('made for %s it is refused', (_, gate, verdict) => {
    expect(readingOf(proofOf().frame, gate).proof.verdict).toBe(verdict)
  })

  test('H9: clocks do not matter: hours off on either side, the time of the challenge is echoed', () => {
    for (const hours of [-1_000, -5, 5, 1_000]) {
      const challenge = { ...CHALLENGE, ts: CHALLENGE.ts + hours * 3_600_000 }
      const { frame } = proofOf({ challenge })
      expect(readingOf(frame, { challengedAtMs: challenge.ts }).proof.verdict).toBe('verified')
    }
  })
})

/** Every field that a frame has, and how a relay could change it. */
const FIELDS = [
  ...['role', 'client.id', 'client.mode', 'client.platform', 'auth.kind', 'auth.mac', 'device.id'],
  ...['device.publicKey', 'device.signature', 'device.signedAt', 'device.nonce', 'device.clientNonce'],
  ...['device.gatewayId', 'device.address', 'device.port'],
] as const

describe('H2 H13: a signed field that was changed on the way', () => {
  const other = proofOf({
    identity: createEphemeralIdentity(),
    gatewayId: createEphemeralIdentity().id,
    dialled: { address: '203.0.113.9', port: 443 },
    challenge: { nonce: 'another', ts: 1 },
    client: { ...proofOf().sign.client, id: 'cli', mode: 'cli', platform: 'win32' },
    role: 'node',
    scopes: [],
  }).frame.params
  const original = readingOf(proofOf().frame)

  test.each(FIELDS)('%s: the frame is refused', path => {
    const [part, name] = path.includes('.') ? path.split('.') : [null, path]
    const { frame } = proofOf()
    const params = structuredClone(frame.params)
    const place = part === null || part === undefined ? params : (params[part] as Record<string, unknown>)
    const source = part === null || part === undefined ? other : (other[part] as Record<string, unknown>)
    place[name ?? ''] = path === 'auth.kind' ? 'device-key' : source[name ?? '']
    if (path === 'auth.kind') delete place['mac']
    if (path === 'role') params['scopes'] = []
    expect(readingOf(frame).proof.verdict).toBe('verified')
    const reading = readingOf({ ...frame, params })
    expect(reading.proof.verdict).not.toBe('verified')
  })

  test('any single bit of signature or MAC', () => {
    fc.assert(
      fc.property(fc.constantFrom('signature', 'mac'), fc.nat(255), (name, bit) => {
        const { frame } = proofOf()
        const params = structuredClone(frame.params)
        const place = name === 'mac' ? params.auth : params.device
        const bytes = Buffer.from(String(place[name]), 'base64url')
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        place[name] = bytes.toString('base64url')
        expect(readingOf({ ...frame, params }).proof).toEqual({ verdict: 'signature-invalid' })
      }),
      { numRuns: 50 },
    )
    expect(original.proof.verdict).toBe('verified')
  })

  test('a wrong gateway token is wrong, whatever else is wrong', () => {
    const { frame } = proofOf({ credential: { kind: 'gateway-token', token: `${TOKEN}x` } })
    expect(readingOf(frame, { nonce: null }).credential).toEqual({
      kind: 'wrong',
      presented: 'gateway-token',
    })
  })

  test('a MAC of as many characters but more bytes is wrong, and no exception', () => {
    const { frame } = proofOf({ credential: { kind: 'gateway-token', token: TOKEN } })
    const auth = { kind: 'gateway-token', mac: 'é'.repeat(43) }
    const { credential } = readingOf({ ...frame, params: { ...frame.params, auth } })
    expect(credential).toEqual({ kind: 'wrong', presented: 'gateway-token' })
  })

  test('a MAC or a join code of somebody else, under a key of one’s own, is nobody’s', () => {
    for (const credential of CREDENTIALS.slice(1, 3)) {
      const theirs = proofOf({ credential }).frame.params
      const mine = proofOf({ credential, identity: createEphemeralIdentity() }).frame
      const reading = readingOf({ ...mine, params: { ...mine.params, auth: theirs.auth } })
      expect([reading.proof.verdict, reading.credential.kind]).toEqual(['signature-invalid', 'wrong'])
    }
  })
})

describe("the gateway's answer", () => {
  const { transcriptHash } = proofOf()
  const outcome = { transcriptHash, connectionId: 'c-1', role: 'operator', scopes: ['operator.write'] }
  const answer = signGatewayAnswer(GATEWAY, outcome)

  test('proves the pinned gateway, and exactly this outcome', () => {
    expect(verifyGatewayAnswer(answer, GATEWAY.id, outcome)).toEqual({ verdict: 'proven' })
    for (const changed of [
      { ...outcome, transcriptHash: proofOf().transcriptHash },
      { ...outcome, connectionId: 'c-2' },
      { ...outcome, role: 'node' },
      { ...outcome, scopes: ['operator.admin', 'operator.write'] },
      { ...outcome, scopes: [] },
    ]) {
      expect(verifyGatewayAnswer(answer, GATEWAY.id, changed)).toEqual({ verdict: 'signature-invalid' })
    }
  })

  test('of another gateway is told from it, and anything else counts as none', () => {
    const other = createEphemeralIdentity()
    expect(verifyGatewayAnswer(signGatewayAnswer(other, outcome), GATEWAY.id, outcome)).toEqual({
      verdict: 'another',
      gatewayId: other.id,
    })
    for (const nothing of [
      undefined,
      null,
      7,
      '',
      [],
      {},
      { ...answer, publicKey: 1 },
      { ...answer, signature: '' },
    ]) {
      expect(verifyGatewayAnswer(nothing, GATEWAY.id, outcome)).toEqual({ verdict: 'absent' })
    }
  })

  test('reflection: the signature of the device over its own connect is no answer, even where device and gateway share a key', () => {
    const { frame, transcriptHash: own } = proofOf({ identity: GATEWAY })
    const reflected = {
      publicKey: formatPublicKey(GATEWAY.publicKey),
      signature: frame.params.device['signature'],
    }
    const asked = { ...outcome, transcriptHash: own }
    expect(deviceIdOf(GATEWAY.publicKey)).toBe(GATEWAY.id)
    expect(verifyGatewayAnswer(reflected, GATEWAY.id, asked)).toEqual({ verdict: 'signature-invalid' })
    const signed = Buffer.from(GATEWAY.sign(outcomeBytes(asked))).toString('base64url')
    // The control: the very same key over the right bytes is an answer.
    expect(verifyGatewayAnswer({ ...reflected, signature: signed }, GATEWAY.id, asked)).toEqual({
      verdict: 'proven',
    })
  })
})
