import {
  isHandshakeError,
  MAX_SCOPES,
  type OpenClawProofFields,
  openClawProofBytes,
  type SignOptions,
  signOpenClawProof,
} from '@holdfast/handshake'
import { createEphemeralIdentity, verifySignature } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { CLIENT, NO_AUTH, NONCE, NOW_MS } from './connect-frame.ts'

const holder = createEphemeralIdentity()
const names = (count: number) => Array.from({ length: count }, (_, i) => `s${i}`)

describe('H2: nothing is signed that could mean two things', () => {
  const options: SignOptions = {
    identity: holder,
    challenge: { nonce: NONCE, ts: NOW_MS },
    client: CLIENT,
    role: 'operator',
    scopes: ['operator.read'],
    auth: NO_AUTH,
  }
  const fields = {
    deviceId: holder.id,
    client: CLIENT,
    role: 'operator',
    scopes: [],
    signedAtMs: 1,
    credential: '',
    nonce: 'n',
  }

  test('the joined string alone is ambiguous (why the alphabets are there)', () => {
    const bytes = (more: Partial<OpenClawProofFields>) => openClawProofBytes('v3', { ...fields, ...more })
    expect(bytes({ scopes: ['a,b'] })).toEqual(bytes({ scopes: ['a', 'b'] }))
    expect(bytes({ client: { ...CLIENT, platform: 'a|b', deviceFamily: null } })).toEqual(
      bytes({ client: { ...CLIENT, platform: 'a', deviceFamily: 'b|' } }),
    )
    expect(bytes({ credential: 'a|b' })).toEqual(bytes({ credential: 'a', nonce: 'b|n' }))
  })

  test.each<[string, string, Partial<SignOptions>]>([
    ['a comma in a scope', 'scopes', { scopes: ['operator.read,operator.admin'] }],
    ['a pipe in a scope', 'scopes', { scopes: ['operator.read|x'] }],
    ['a blank in a scope', 'scopes', { scopes: [' operator.read'] }],
    ['a scope twice', 'scope', { scopes: ['operator.read', 'operator.read'] }],
    ['one scope too many', 'scopes', { scopes: names(MAX_SCOPES + 1) }],
    ['a pipe in the role', 'role', { role: 'operator|' }],
    ['an empty role', 'role', { role: '' }],
    ['a pipe in the client id', 'client.id', { client: { ...CLIENT, id: 'a|b' } }],
    ['a capital in the client mode', 'client.mode', { client: { ...CLIENT, mode: 'CLI' } }],
    ['a pipe in the platform', 'client.platform', { client: { ...CLIENT, platform: 'a|b' } }],
    ['a line break in the platform', 'client.platform', { client: { ...CLIENT, platform: 'linux\n' } }],
    ['an empty platform', 'client.platform', { client: { ...CLIENT, platform: '' } }],
    ['a pipe in the device family', 'client.deviceFamily', { client: { ...CLIENT, deviceFamily: 'b|' } }],
    ['a pipe in the token', 'auth', { auth: { ...NO_AUTH, token: 'a|b' } }],
    ['a blank in the device token', 'auth', { auth: { ...NO_AUTH, deviceToken: 'a b' } }],
    ['a pipe in the nonce', 'challenge.nonce', { challenge: { nonce: 'a|b', ts: 1 } }],
    ['a time that is no integer', 'challenge.ts', { challenge: { nonce: 'n', ts: 1.5 } }],
    ['a time before time', 'challenge.ts', { challenge: { nonce: 'n', ts: -1 } }],
    ['a time that no number holds', 'challenge.ts', { challenge: { nonce: 'n', ts: 2 ** 53 } }],
  ])('refuses %s: the error names %s and quotes nothing of it', (_, field, more) => {
    try {
      signOpenClawProof({ ...options, ...more })
      expect.unreachable()
    } catch (error) {
      if (!isHandshakeError(error)) throw error
      expect(error.code).toBe('WISH_INVALID')
      expect(error.detail.reason).toContain(field)
      expect(String(error)).not.toContain('|')
    }
  })

  test(`signs ${MAX_SCOPES} scopes, and what has no device family`, () => {
    const most = { scopes: names(MAX_SCOPES), client: { ...CLIENT, deviceFamily: null } }
    const bytes = openClawProofBytes('v3', { ...fields, ...most, nonce: NONCE, signedAtMs: NOW_MS })
    const { signature } = signOpenClawProof({ ...options, ...most })
    expect(verifySignature(holder.publicKey, bytes, Buffer.from(signature, 'base64url'))).toBe(true)
  })

  test('F63: signs v3 where nobody asks for v2', () => {
    const { signature } = signOpenClawProof(options)
    expect(signature).toBe(signOpenClawProof({ ...options, version: 'v3' }).signature)
    expect(signature).not.toBe(signOpenClawProof({ ...options, version: 'v2' }).signature)
  })
})
