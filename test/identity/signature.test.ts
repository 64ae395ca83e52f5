import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  createEphemeralIdentity,
  deviceIdOf,
  formatPublicKey,
  identityFrom,
  type PublicKey,
  parseDeviceId,
  parsePublicKey,
  verifySignature,
} from '@holdfast/identity'
import * as noble from '@noble/ed25519'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import {
  constructedCases,
  hexOf,
  L,
  otherNonCanonicalSpellings,
  rfcVectors,
  smallOrderSpellings,
} from './signature-cases.ts'
import { freshFolder } from './state-folder.ts'

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')
const keyOf = (hex: string): PublicKey | null => parsePublicKey(bytes(hex).toString('base64url'))

interface Listed {
  readonly key: string
  readonly message: string
  readonly signature: string
}

function verdictOf({ key, message, signature }: Listed): boolean {
  const parsed = keyOf(key)
  return parsed !== null && verifySignature(parsed, bytes(message), bytes(signature))
}

/** The same questions to a process without native Ed25519. */
async function portably(cases: readonly Listed[]): Promise<{ verdicts: boolean[]; signed: unknown[] }> {
  const file = join(freshFolder(), 'cases.json')
  writeFileSync(file, JSON.stringify({ cases, seeds: rfcVectors }))
  const { answer, stderr } = await runProgram(new URL('./programs/verdicts.ts', import.meta.url), {
    args: [file],
    nodeFlags: ['--import', new URL('./programs/without-native-ed25519.ts', import.meta.url).href],
  })
  expect(stderr).toBe('')
  return answer as { verdicts: boolean[]; signed: unknown[] }
}

describe('public keys', () => {
  test('have one spelling: 43 characters of unpadded base64url', () => {
    const { publicKey } = createEphemeralIdentity()
    const text = formatPublicKey(publicKey)
    expect(text).toMatch(/^[A-Za-z0-9_-]{43}$/)
    expect(formatPublicKey(parsePublicKey(text) ?? publicKey)).toBe(text)
    const raw = Buffer.from(publicKey.toBytes())
    const withUnusedBits = `${text.slice(0, 42)}${String.fromCharCode(text.charCodeAt(42) + 1)}`
    for (const other of [
      `${text}=`,
      ` ${text}`,
      `${text}\n`,
      raw.toString('hex'),
      text.slice(1),
      withUnusedBits,
      '',
    ]) {
      expect(parsePublicKey(other)).toBeNull()
    }
    for (const other of [null, undefined, 43, raw, [text], { toString: () => text }]) {
      expect(parsePublicKey(other)).toBeNull()
    }
  })

  test('C14: of small order are refused in every spelling, canonical or not', () => {
    // y = 0, ±1 and the two of order 8, with either sign bit; 0 and 1 also as p and p + 1.
    expect(smallOrderSpellings).toHaveLength(14)
    for (const key of smallOrderSpellings) expect(keyOf(key), key).toBeNull()
  })

  test('C14: that are not canonical (y ≥ p) are refused', () => {
    for (const key of otherNonCanonicalSpellings) expect(keyOf(key), key).toBeNull()
    for (const y of [2n, 2n ** 255n - 20n - 1n]) expect(keyOf(hexOf(y))).not.toBeNull()
  })

  test('C14: the same keyless device is let in by a verification that leans on its library (negative control)', () => {
    noble.hashes.sha512 = message => Uint8Array.from(createHash('sha512').update(message).digest())
    const keyless = constructedCases.filter(one => one.title.startsWith('nobody’s key'))
    const accepted = keyless.filter(one =>
      noble.verify(bytes(one.signature), bytes(one.message), bytes(one.key)),
    )
    expect(accepted.length).toBeGreaterThan(0)
    expect(keyless.filter(verdictOf)).toEqual([])
  })

  test('cannot be made by anything but parsing', () => {
    const { publicKey, sign } = identityParts()
    const message = Buffer.from('m')
    const signature = sign(message)
    const forgeries = [
      Object.create(Object.getPrototypeOf(publicKey)),
      { toBytes: () => publicKey.toBytes() },
      { ...publicKey },
      structuredClone(publicKey),
      null,
      undefined,
      formatPublicKey(publicKey),
    ]
    for (const forgery of forgeries)
      expect(verifySignature(forgery as PublicKey, message, signature)).toBe(false)
  })

  test('hand out copies of their bytes', () => {
    const { publicKey } = createEphemeralIdentity()
    const before = formatPublicKey(publicKey)
    publicKey.toBytes().fill(0)
    expect(formatPublicKey(publicKey)).toBe(before)
  })
})

function identityParts(): { publicKey: PublicKey; sign: (message: Uint8Array) => Uint8Array } {
  const identity = createEphemeralIdentity()
  return { publicKey: identity.publicKey, sign: message => identity.sign(message) }
}

describe('device ids', () => {
  test('F64: are the SHA-256 of the raw key in lower-case hex', () => {
    const identity = createEphemeralIdentity()
    const expected = createHash('sha256').update(identity.publicKey.toBytes()).digest('hex')
    expect(identity.id).toBe(expected)
    expect(deviceIdOf(identity.publicKey)).toBe(expected)
    expect(parseDeviceId(expected)).toBe(expected)
    for (const text of [
      expected.toUpperCase(),
      expected.slice(1),
      `${expected} `,
      '__proto__',
      '',
      null,
      7,
    ]) {
      expect(parseDeviceId(text)).toBeNull()
    }
  })

  test('F64: cannot be set by the caller', () => {
    const identity = createEphemeralIdentity()
    expect(() => Object.assign(identity, { id: 'f'.repeat(64) })).toThrow(TypeError)
  })
})

describe('signatures', () => {
  test.each(rfcVectors)('sign and verify as RFC 8032 §7.1 says: $title', vector => {
    const identity = identityFrom({ seed: vector.seed })
    expect(Buffer.from(identity.publicKey.toBytes()).toString('hex')).toBe(vector.key)
    expect(Buffer.from(identity.sign(bytes(vector.message))).toString('hex')).toBe(vector.signature)
    expect(verdictOf(vector)).toBe(true)
  })

  test.each(constructedCases)('C14 H12: $title is decided by the definition', one => {
    expect(verdictOf(one)).toBe(one.valid)
  })

  test('H12: exactly 64 bytes, S below L, and nothing that is not bytes; it never throws', () => {
    const identity = createEphemeralIdentity()
    const message = Buffer.from('message')
    const signature = Buffer.from(identity.sign(message))
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`)
    const malleable = Buffer.concat([signature.subarray(0, 32), bytes(hexOf(s + L))])
    const wrong = [
      malleable,
      signature.subarray(0, 63),
      Buffer.concat([signature, Buffer.alloc(1)]),
      Buffer.alloc(0),
    ]
    expect(verifySignature(identity.publicKey, message, signature)).toBe(true)
    for (const bad of wrong) expect(verifySignature(identity.publicKey, message, bad)).toBe(false)
    for (const bad of [null, undefined, 'text', signature.toString('hex'), [...signature], {}, 64]) {
      expect(verifySignature(identity.publicKey, message, bad as Uint8Array)).toBe(false)
      expect(verifySignature(identity.publicKey, bad as Uint8Array, signature)).toBe(false)
    }
  })

  test('H12: no change of one bit of key, message or signature is accepted', () => {
    const identity = identityFrom({ seed: rfcVectors[0].seed })
    const message = Buffer.from('one message')
    const signed = Buffer.concat([identity.publicKey.toBytes(), message, identity.sign(message)])
    fc.assert(
      fc.property(fc.nat(signed.length * 8 - 1), bit => {
        const changed = Buffer.from(signed)
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const [key, text, signature] = [
          changed.subarray(0, 32),
          changed.subarray(32, -64),
          changed.subarray(-64),
        ]
        const parsed = parsePublicKey(key.toString('base64url'))
        return parsed === null || !verifySignature(parsed, text, signature)
      }),
    )
  })

  test('without native Ed25519: the same ids, the same signatures, the same verdicts', async () => {
    const cases: Listed[] = [...constructedCases, ...rfcVectors]
    const { verdicts, signed } = await portably(cases)
    expect(verdicts).toEqual(cases.map(verdictOf))
    expect(signed).toEqual(
      rfcVectors.map(({ seed, signature }) => {
        const { id, publicKey } = identityFrom({ seed })
        return { id, publicKey: formatPublicKey(publicKey), signature }
      }),
    )
  })
})

const vectors = process.env['HOLDFAST_VECTORS'] ?? ''

describe.runIf(existsSync(join(vectors, 'speccheck.json')))('published vectors', () => {
  const read = (name: string): unknown => JSON.parse(readFileSync(join(vectors, name), 'utf8'))

  test('of the ten speccheck cases, case 3 alone is accepted, natively and portably', async () => {
    const published = read('speccheck.json') as { message: string; pub_key: string; signature: string }[]
    const cases = published.map(({ pub_key: key, message, signature }) => ({ key, message, signature }))
    const expected = cases.map((_, index) => index === 3)
    expect(cases.map(verdictOf)).toEqual(expected)
    expect((await portably(cases)).verdicts).toEqual(expected)
  })

  test('every case of Project Wycheproof is decided as it says, natively and portably', async () => {
    interface Group {
      readonly publicKey: { readonly pk: string }
      readonly tests: readonly { readonly msg: string; readonly sig: string; readonly result: string }[]
    }
    const { testGroups } = read('wycheproof-ed25519.json') as { testGroups: readonly Group[] }
    const all = testGroups.flatMap(({ publicKey, tests }) =>
      tests.map(({ msg, sig, result }) => ({ key: publicKey.pk, message: msg, signature: sig, result })),
    )
    const expected = all.map(one => one.result === 'valid')
    expect(all.length).toBeGreaterThan(100)
    expect(all.map(verdictOf)).toEqual(expected)
    expect((await portably(all)).verdicts).toEqual(expected)
  })
})
