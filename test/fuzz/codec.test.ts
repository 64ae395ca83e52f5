import {
  idsIn,
  parseCall,
  parseConnect,
  parseServerFrame,
  parseWish,
  readChallenge,
  rootOf,
} from '@holdfast/handshake'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chainOf, look } from '../handshake/chains.ts'
import { connectFrame, type Frame, paramsOf, ROLES, verdictOn } from '../handshake/connect-frame.ts'
import { CREDENTIALS, proofOf, readingOf } from '../handshake/holdfast-frame.ts'
import { byteDamage, INPUTS, treeDamage } from './mutators.ts'

const CONNECTS: readonly Frame[] = [
  connectFrame(),
  connectFrame({ version: 'v2', auth: { token: null } }),
  connectFrame({ role: 'node', scopes: [], auth: { token: null, deviceToken: 'hfd_device-token' } }),
  connectFrame({ client: { displayName: 'a name', instanceId: 'i' }, auth: { bootstrapToken: 'join-code' } }),
]
const PROOFS = CREDENTIALS.map(credential => proofOf({ credential }).frame)
const OTHERS: readonly unknown[] = [
  { type: 'req', id: '7', method: 'device.pair.list', params: { limit: 5, after: 'x' } },
  { type: 'event', event: 'connect.challenge', payload: { nonce: 'n', ts: 5 } },
  { type: 'res', id: '1', ok: false, error: { code: 'X', message: 'y', details: { a: 1 }, retryAfterMs: 5 } },
  { type: 'res', id: '1', ok: true, payload: { type: 'hello-ok', protocol: 4, auth: { scopes: ['a'] } } },
]

const seeds = fc.constantFrom<unknown>(...CONNECTS, ...PROOFS, ...OTHERS)
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

/** One of these frames, and a text that was made of it by damage to its bytes or its members. */
function damagedFrom<Frame>(seeds: readonly Frame[]) {
  return fc.constantFrom(...seeds).chain(seed => {
    const bytes = byteDamage.map(damage => damage(Buffer.from(JSON.stringify(seed))).toString())
    const tree = treeDamage.map(damage => JSON.stringify(damage(seed)) ?? '')
    return fc.oneof(bytes, tree).map(text => ({ seed, text }))
  })
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
        // The id of the call is only said back, and signed by nobody.
        expect(plain.test(reading.id) && reading.id.length <= 128).toBe(true)
        const texts = [client.id, client.mode, client.platform, client.deviceFamily ?? '', role, ...scopes]
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
    const damaged = damagedFrom(CONNECTS)
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
    expect(Math.min(verified, refused)).toBeGreaterThan(INPUTS / 400)
  })
})

describe('damaged holdfast/1 proofs', () => {
  test('no damage gives another proof, and none gives a token that was not shown: all is refused, or the very same', () => {
    const damaged = damagedFrom(PROOFS)
    let verified = 0
    let refused = 0
    fc.assert(
      fc.property(damaged, ({ seed, text }) => {
        const reading = parseConnect(text)
        if (!reading.ok || reading.params.family !== 'holdfast/1') return
        if (parseWish(ROLES, reading.params.role, reading.params.scopes) === null) return
        const [said, whole] = [readingOf(JSON.parse(text)), readingOf(seed)]
        if (said.credential.kind === 'gateway-token')
          expect(said.transcriptHash).toEqual(whole.transcriptHash)
        if (said.proof.verdict === 'verified') expect(said).toEqual(whole)
        if (said.proof.verdict === 'verified') verified += 1
        else refused += 1
      }),
      { numRuns: INPUTS },
    )
    expect(Math.min(verified, refused)).toBeGreaterThan(INPUTS / 200)
  })
})

/** A link is a compact JWS; its claims are the JSON in the middle (RFC 7515 §7.1). */
function withClaims(link: string, damage: (claims: unknown) => unknown): string {
  const [header = '', claims = '', signature = ''] = link.split('.')
  const damaged = JSON.stringify(damage(JSON.parse(Buffer.from(claims, 'base64url').toString()))) ?? ''
  return [header, Buffer.from(damaged).toString('base64url'), signature].join('.')
}

describe('damaged delegations', () => {
  test('no damage to a chain gives another right: it is flawed, or says the very same', () => {
    const made = chainOf({ scopes: ['operator.read', 'operator.write'] }, { scopes: ['operator.read'] })
    const whole = look(made)
    expect(whole).toMatchObject({ verdict: 'verified' })
    const changes = fc.oneof(
      byteDamage.map(damage => (link: string) => damage(Buffer.from(link)).toString('latin1')),
      treeDamage.map(damage => (link: string) => withClaims(link, damage)),
    )
    fc.assert(
      fc.property(fc.nat(1), changes, (at, change) => {
        const chain = made.chain.map((link, index) => (index === at ? change(link) : link))
        rootOf(chain)
        idsIn(chain)
        const verdict = look(made, {}, chain)
        if (verdict.verdict === 'verified') expect(verdict).toEqual(whole)
      }),
      { numRuns: INPUTS },
    )
  })
})
