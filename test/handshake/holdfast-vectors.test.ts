import { readFileSync } from 'node:fs'
import { gatewayTokenCommitment, transcriptBytes } from '@holdfast/handshake'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { holdfastVectors } from './holdfast-vectors.ts'

test('holdfast/1 makes the golden vectors, byte for byte', () => {
  const golden = readFileSync(new URL('vectors/holdfast-proof.json', import.meta.url), 'utf8')
  expect(JSON.parse(JSON.stringify(holdfastVectors))).toEqual(JSON.parse(golden))
})

test('the commitment of a gateway token is the one that stores keep', () => {
  // Golden: SHA-256 of 0x00, `holdfast gateway token`, 0x00 and the token. Another would close every generation there is.
  expect(gatewayTokenCommitment('A-gateway-token-of-a-test-vector_0123456789')).toBe(
    '22bc0a16d5376ecc81d493af0c7bd0a9f77bd2a49d27654ef5b802feecf09080',
  )
})

describe('H2: the bytes of a transcript', () => {
  const fields = {
    gatewayId: 'g',
    nonce: 'n',
    challengedAtMs: 1,
    clientNonce: 'c',
    address: 'a',
    port: 1,
    publicKey: 'k',
    role: 'r',
    scopes: ['s'],
    client: { id: 'i', mode: 'm', platform: 'p' },
    credential: 'device-key',
    credentialSubject: '',
  } as const

  test('differ wherever a character moves from one field, or from one scope, to the next', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '|', ',', '\0'), maxLength: 4 })
    const cut = fc.tuple(text, fc.nat(4)).map(([whole, at]) => [whole.slice(0, at), whole.slice(at)] as const)
    const bytesOf = (nonce: string, clientNonce: string, scopes: readonly string[]) =>
      Buffer.from(transcriptBytes({ ...fields, nonce, clientNonce, address: '', scopes })).toString('hex')
    fc.assert(
      fc.property(text, fc.nat(4), fc.nat(4), cut, (whole, one, other, scopes) => {
        const [first, second] = [one, other].map(at => bytesOf(whole.slice(0, at), whole.slice(at), scopes))
        const same = whole.slice(0, one) === whole.slice(0, other)
        expect(first === second).toBe(same)
        const joined = bytesOf('', '', [scopes.join('')])
        expect(joined === bytesOf('', '', scopes)).toBe(false)
      }),
      { numRuns: 200 },
    )
  })
})
