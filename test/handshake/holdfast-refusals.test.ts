import { signedBytes, transcriptBytes } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { CREDENTIALS, DEVICE, type Fields, paramsOf, proofOf, readingOf } from './holdfast-frame.ts'

const [, tokenCredential, joinCredential] = CREDENTIALS

/** A good frame, and what was changed on the way. */
function sent(change: (params: Fields) => void, options: Parameters<typeof proofOf>[0] = {}) {
  const { frame } = proofOf(options)
  const params = structuredClone(frame.params)
  change(params)
  return { ...frame, params }
}

/** The same bytes in other spellings, of which none is the one. */
function misspelt(base64url: string): readonly [string, string][] {
  const bytes = Buffer.from(base64url, 'base64url')
  const last = String.fromCharCode(base64url.charCodeAt(base64url.length - 1) + 1)
  return [
    ['with a blank', `${base64url} `],
    ['with one sign of padding', `${base64url}=`],
    ['with stray bits', base64url.slice(0, -1) + last],
    ['one byte shorter', bytes.subarray(1).toString('base64url')],
    ['empty', ''],
  ]
}

describe('rule 5: a holdfast/1 proof whose key is not one', () => {
  const other = createEphemeralIdentity()

  test.each([
    ['of small order', 'A'.repeat(43)],
    ['padded', `${DEVICE.publicKey}=`],
    ['empty', ''],
    ['in hex', Buffer.from(String(DEVICE.publicKey), 'base64url').toString('hex')],
  ])('%s is public-key-invalid', (_, publicKey) => {
    const frame = sent(({ device }) => Object.assign(device, { publicKey }))
    expect(readingOf(frame).proof).toEqual({ verdict: 'public-key-invalid' })
  })

  test.each([
    ["another's", other.id],
    ['in capitals', DEVICE.id.toUpperCase()],
    ['empty', ''],
  ])('H10: an id that is not the hash of the key (%s) is device-id-mismatch', (_, id) => {
    const frame = sent(({ device }) => Object.assign(device, { id }))
    expect(readingOf(frame).proof).toEqual({ verdict: 'device-id-mismatch' })
  })

  test('it speaks before rule 6: another gateway, a used nonce and another address are not looked at', () => {
    const frame = sent(({ device }) => Object.assign(device, { publicKey: 'x' }))
    const gate = { gatewayId: other.id, nonce: null, isOwnAddress: () => false }
    expect(readingOf(frame, gate).proof).toEqual({ verdict: 'public-key-invalid' })
  })
})

describe('rule 6: where it was made for another address', () => {
  test.each([
    ['127.0.0.1', 18_789, '127.0.0.1:18789'],
    ['gateway.example.org', 443, 'gateway.example.org:443'],
    ['::1', 18_789, '[::1]:18789'],
  ])('%s, port %i is told as %s', (address, port, dialled) => {
    const { frame } = proofOf({ dialled: { address, port } })
    const { proof } = readingOf(frame, { isOwnAddress: () => false })
    expect(proof).toEqual({ verdict: 'address-mismatch', dialled })
  })
})

describe('rule 7: a value has one spelling', () => {
  const { signature } = proofOf().frame.params.device

  test.each(misspelt(String(signature)))('a signature %s is signature-invalid', (_, text) => {
    const frame = sent(({ device }) => Object.assign(device, { signature: text }))
    expect(readingOf(frame).proof).toEqual({ verdict: 'signature-invalid' })
  })

  test.each(misspelt('A'.repeat(43)).map(([name]) => name))(
    'a MAC %s is none, and what was signed over it is not verified',
    name => {
      const frame = sent(({ auth }) => {
        auth['mac'] = new Map(misspelt(String(auth['mac']))).get(name)
      })
      expect(readingOf(frame)).toMatchObject({
        proof: { verdict: 'signature-invalid' },
        credential: { kind: 'wrong', presented: 'gateway-token' },
      })
    },
  )

  test('a MAC cut short is none, also where the device signed just that', () => {
    const { frame } = proofOf(tokenCredential && { credential: tokenCredential })
    const { device, credential, ...rest } = paramsOf(frame)
    const transcript = transcriptBytes({
      ...device,
      ...rest,
      challengedAtMs: device.signedAtMs,
      credential: credential.kind,
      credentialSubject: '',
    })
    const withMac = (bytes: Uint8Array) => {
      const signed = DEVICE.sign(signedBytes(transcript, bytes))
      const changed = structuredClone(frame.params)
      changed.auth['mac'] = Buffer.from(bytes).toString('base64url')
      changed.device['signature'] = Buffer.from(signed).toString('base64url')
      return readingOf({ ...frame, params: changed })
    }
    const mac = Buffer.from(String(frame.params.auth['mac']), 'base64url')
    expect(withMac(mac.subarray(0, 31)).proof).toEqual({ verdict: 'signature-invalid' })
    expect(withMac(mac.subarray(0, 0)).proof).toEqual({ verdict: 'signature-invalid' })
    // The control: made in the same way, the whole one is verified.
    expect(withMac(mac)).toMatchObject({
      proof: { verdict: 'verified' },
      credential: { kind: 'gateway-token' },
    })
  })
})

describe('rule 3: a join code that does not sign', () => {
  const wrong = { kind: 'wrong', presented: 'join-code' }
  const join = joinCredential && { credential: joinCredential }
  const { key, signature } = proofOf(join).frame.params.auth

  test.each([
    ['of small order', 'A'.repeat(43)],
    ['padded', `${key}=`],
    ['empty', ''],
    ["of somebody else's", String(createEphemeralIdentity().publicKey)],
  ])('its key %s is a wrong join code', (_, text) => {
    expect(readingOf(sent(({ auth }) => Object.assign(auth, { key: text }), join)).credential).toEqual(wrong)
  })

  test.each(misspelt(String(signature)).map(([name]) => name))(
    'its signature %s is a wrong join code',
    name => {
      const frame = sent(({ auth }) => {
        auth['signature'] = new Map(misspelt(String(auth['signature']))).get(name)
      }, join)
      expect(readingOf(frame)).toMatchObject({
        proof: { verdict: 'signature-invalid' },
        credential: wrong,
      })
    },
  )

  test('whole, it is shown (the control)', () => {
    expect(readingOf(proofOf(join).frame).credential).toEqual({ kind: 'join-key', key })
  })
})

test('a wish that the table does not know is a mistake of the caller, whatever else is wrong', () => {
  for (const wish of [{ role: 'admin' }, { scopes: ['operator.bogus'] }]) {
    const { frame } = proofOf(wish)
    expect(() => readingOf(frame, { nonce: null })).toThrow(TypeError)
  }
})
