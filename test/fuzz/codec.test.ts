import { parseCall, parseConnect, parseServerFrame, parseWish, readChallenge } from '@holdfast/handshake'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { connectFrame, type Frame, paramsOf, ROLES, verdictOn } from '../handshake/connect-frame.ts'
import { byteDamage, INPUTS, treeDamage } from './mutators.ts'

const CONNECTS: readonly Frame[] = [
  connectFrame(),
  connectFrame({ version: 'v2', auth: { token: null } }),
  connectFrame({ role: 'node', scopes: [], auth: { token: null, deviceToken: 'hfd_device-token' } }),
  connectFrame({ client: { displayName: 'a name', instanceId: 'i' }, auth: { bootstrapToken: 'join-code' } }),
]
const OTHERS: readonly unknown[] = [
  { type: 'req', id: '7', method: 'device.pair.list', params: { limit: 5, after: 'x' } },
  { type: 'event', event: 'connect.challenge', payload: { nonce: 'n', ts: 5 } },
  { type: 'res', id: '1', ok: false, error: { code: 'X', message: 'y', details: { a: 1 }, retryAfterMs: 5 } },
  { type: 'res', id: '1', ok: true, payload: { type: 'hello-ok', protocol: 4, auth: { scopes: ['a'] } } },
]

const seeds = fc.constantFrom(...CONNECTS, ...OTHERS)
const damagedTexts = fc.oneof(
  fc.tuple(seeds, byteDamage).map(([seed, damage]) => damage(Buffer.from(JSON.stringify(seed))).toString()),
  fc.tuple(seeds, treeDamage).map(([seed, damage]) => JSON.stringify(damage(seed)) ?? 'undefined'),
)

/** Everything that any part of the codec makes of a text. */
function readings(text: string) {
  const server = parseServerFrame(text)
  return {
    connect: parseConnect(text),
    call: parseCall(text),
    challenge: server === null ? null : readChallenge(server),
  }
}

describe('damaged frames', () => {
  test('no reader throws, and each says the same of the same text', () => {
    fc.assert(
      fc.property(damagedTexts, text => {
        expect(readings(text)).toEqual(readings(text))
      }),
      { numRuns: INPUTS },
    )
  })

  test('whatever is read as a connect holds to the alphabets', () => {
    const plain = /^[\x20-\x7e]*$/
    fc.assert(
      fc.property(damagedTexts, text => {
        const reading = parseConnect(text)
        if (!reading.ok) return
        const { client, role, scopes } = reading.params
        const texts = [
          reading.id,
          client.id,
          client.mode,
          client.platform,
          client.deviceFamily ?? '',
          role,
          ...scopes,
        ]
        expect(texts.filter(each => !plain.test(each) || each.includes('|') || each.length > 128)).toEqual([])
        const { family } = reading.params
        const { token, deviceToken, bootstrapToken } =
          family === 'openclaw' ? reading.params.auth : { token: '', deviceToken: '', bootstrapToken: '' }
        expect([token, deviceToken, bootstrapToken].filter(each => /[|\s]/.test(each ?? ''))).toEqual([])
        expect(scopes.length).toBeLessThanOrEqual(32)
      }),
      { numRuns: INPUTS },
    )
  })

  test('no damage to a signed connect gives another proof: it is refused, or says the very same', () => {
    const damaged = fc.constantFrom(...CONNECTS).chain(seed => {
      const bytes = byteDamage.map(damage => damage(Buffer.from(JSON.stringify(seed))).toString())
      const tree = treeDamage.map(damage => JSON.stringify(damage(seed)) ?? '')
      return fc.oneof(bytes, tree).map(text => ({ seed, text }))
    })
    let verified = 0
    let refused = 0
    fc.assert(
      fc.property(damaged, ({ seed, text }) => {
        const reading = parseConnect(text)
        // The gate asks for no proof of a wish that its table does not know.
        if (!reading.ok || parseWish(ROLES, reading.params.role, reading.params.scopes) === null) return
        if (reading.params.family !== 'openclaw') return
        const verdict = verdictOn(reading.params)
        if (verdict.verdict !== 'verified') {
          refused += 1
          return
        }
        verified += 1
        expect(verdict).toEqual(verdictOn(paramsOf(seed)))
      }),
      { numRuns: INPUTS },
    )
    // The damage reaches the proofs, and spares some: else nothing would be shown.
    expect(Math.min(verified, refused)).toBeGreaterThan(INPUTS / 100)
  })
})
