import { type OpenClawConnect, type ProofVerdict, parseConnect, parseWish } from '@holdfast/handshake'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { connectFrame, type Frame, paramsOf, ROLES, RUNS, verdictOn } from './connect-frame.ts'

/** Every field of a frame that a v3 proof signs, or that says who signed. */
const SIGNED_FIELDS = [
  'client.id',
  'client.mode',
  'client.platform',
  'client.deviceFamily',
  'role',
  'scopes',
  'auth.token',
  'device.id',
  'device.publicKey',
  'device.signature',
  'device.signedAt',
  'device.nonce',
] as const

const frame = connectFrame()
const original = paramsOf(frame)
const verified = verdictOn(original)

function fieldAt(path: string): unknown {
  const [first = '', second] = path.split('.')
  const value = frame.params[first]
  return second === undefined ? value : (value as Record<string, unknown>)[second]
}

function withField(path: string, value: unknown): Frame {
  const [first = '', second] = path.split('.')
  const params = structuredClone(frame.params)
  if (second === undefined) params[first] = value
  else (params[first] as Record<string, unknown>)[second] = value
  return { ...frame, params }
}

/** A small change to a text: what an attacker would try first. */
function tweaked(text: string): fc.Arbitrary<string> {
  const at = fc.nat(Math.max(0, text.length - 1))
  const char = fc.constantFrom(
    'a',
    'A',
    '0',
    ' ',
    '|',
    ',',
    '.',
    '=',
    '-',
    '_',
    '\u0000',
    '\n',
    'é',
    '\ud800',
  )
  return fc.oneof(
    fc.tuple(at, char).map(([i, c]) => text.slice(0, i) + c + text.slice(i + 1)),
    fc.tuple(at, char).map(([i, c]) => text.slice(0, i) + c + text.slice(i)),
    at.map(i => text.slice(0, i) + text.slice(i + 1)),
    fc.constantFrom(
      text.toUpperCase(),
      ` ${text}`,
      `${text} `,
      `${text}=`,
      `${text}==`,
      `${text}|`,
      text + text,
      '',
    ),
  )
}

function changedValue(value: unknown): fc.Arbitrary<unknown> {
  const anything = fc.oneof(fc.jsonValue(), fc.constant(undefined))
  if (typeof value === 'string') return fc.oneof({ weight: 3, arbitrary: tweaked(value) }, anything)
  if (typeof value === 'number')
    return fc.oneof(
      fc.integer({ min: -200_000, max: 200_000 }).map(by => value + by),
      anything,
    )
  const scopes = [...(ROLES.closures.values().next().value?.keys() ?? [])]
  return fc.oneof(fc.subarray(scopes), fc.shuffledSubarray(['operator.read', 'operator.write']), anything)
}

const mutations = fc
  .constantFrom(...SIGNED_FIELDS)
  .chain(path => changedValue(fieldAt(path)).map(value => ({ path, frame: withField(path, value) })))

/** What a gate makes of a frame: a verdict, or `null` where rule 2 refuses it before any proof is looked at. */
function read(candidate: Frame): { readonly params: OpenClawConnect; readonly verdict: ProofVerdict } | null {
  const reading = parseConnect(JSON.stringify(candidate))
  if (!reading.ok || parseWish(ROLES, reading.params.role, reading.params.scopes) === null) return null
  if (reading.params.family !== 'openclaw') throw new Error('a connect of the other family')
  return { params: reading.params, verdict: verdictOn(reading.params) }
}

describe('H2 M7 H13: a frame whose signed field was changed', () => {
  test('is refused, or says the very same thing in another spelling', () => {
    let refused = 0
    fc.assert(
      fc.property(mutations, ({ frame: candidate }) => {
        const result = read(candidate)
        if (result === null || result.verdict.verdict !== 'verified') {
          refused++
          return
        }
        // Another spelling of platform or signature, or no change at all: the same proof and the same credential.
        expect(result.verdict).toEqual(verified)
        expect(result.params.auth).toEqual(original.auth)
        expect(result.params.scopes).toEqual(original.scopes)
        expect(result.params.device?.signedAtMs).toBe(original.device?.signedAtMs)
      }),
      { numRuns: Math.min(RUNS, 20_000) },
    )
    expect(refused).toBeGreaterThan(1_500)
  })

  test('is accepted unchanged (the control)', () => {
    expect(verified.verdict).toBe('verified')
    for (const path of SIGNED_FIELDS) expect(read(withField(path, fieldAt(path)))?.verdict).toEqual(verified)
  })
})
