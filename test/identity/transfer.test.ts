import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { identityFrom, type KeySource, verifySignature } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { secretsIn } from './secret-spellings.ts'
import { rfcVectors } from './signature-cases.ts'
import { failureOf, freshFolder } from './state-folder.ts'

const program = new URL('./programs/from-key.ts', import.meta.url)
const recorder = new URL('./programs/record-files.ts', import.meta.url).href

const { seed: hex, key } = rfcVectors[1]
const seed = Buffer.from(hex, 'hex')
const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
const native = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
const x = Buffer.from(key, 'hex').toString('base64url')

// RFC 5958 §2: version 1, with the public key as an attribute of the same structure.
const derWithPublicKey = Buffer.concat([
  Buffer.from('3051020101300506032b657004220420', 'hex'),
  seed,
  Buffer.from('812100', 'hex'),
  Buffer.from(key, 'hex'),
])

const forms: readonly [string, KeySource][] = [
  ['PKCS#8 PEM', { pem: native.export({ format: 'pem', type: 'pkcs8' }).toString() }],
  [
    'PKCS#8 PEM with CRLF',
    { pem: native.export({ format: 'pem', type: 'pkcs8' }).toString().replaceAll('\n', '\r\n') },
  ],
  ['PKCS#8 DER', { pkcs8: der }],
  ['PKCS#8 DER in hex', { pkcs8: der.toString('hex') }],
  ['PKCS#8 DER with the public key', { pkcs8: derWithPublicKey }],
  ['JWK', { jwk: { kty: 'OKP', crv: 'Ed25519', d: seed.toString('base64url'), x } }],
  ['JWK without x', { jwk: { kty: 'OKP', crv: 'Ed25519', d: seed.toString('base64url') } }],
  ['a raw seed', { seed: Uint8Array.from(seed) }],
  ['a seed in base64url', { seed: seed.toString('base64url') }],
  ['a seed in hex', { seed: hex.toUpperCase() }],
]

describe('a key that was kept elsewhere', () => {
  test.each(forms)('F19 F09: %s gives the same device, in memory', (_, source) => {
    const identity = identityFrom(source)
    expect(Buffer.from(identity.publicKey.toBytes()).toString('hex')).toBe(key)
    expect(identity.location).toBeNull()
    expect(identity.created).toBe(false)
    const message = Buffer.from('hello')
    expect(verifySignature(identity.publicKey, message, identity.sign(message))).toBe(true)
  })

  test('F09: restarts with it are one device each time, write nothing anywhere, and show nothing of the key', async () => {
    const record = join(freshFolder(), 'calls.json')
    const input = native.export({ format: 'pem', type: 'pkcs8' }).toString()
    const answers = new Set<string>()
    for (let restart = 0; restart < (process.env['HOLDFAST_LONG'] === undefined ? 3 : 10); restart++) {
      const { stdout, stderr, answer } = await runProgram(program, {
        input,
        nodeFlags: ['--import', recorder],
        env: { HOLDFAST_TEST_ROOT: '', HOLDFAST_TEST_RECORD: record },
      })
      const calls = JSON.parse(readFileSync(record, 'utf8')) as { name: string; flags?: unknown }[]
      // Whatever its path: opened to be read, looked at and read.
      expect(calls.filter(({ name }) => !/^(open|fstat|read)Sync$/.test(name))).toEqual([])
      expect(calls.filter(({ name, flags }) => name === 'openSync' && flags !== 'r' && flags !== 0)).toEqual(
        [],
      )
      expect(secretsIn(stdout + stderr, seed)).toEqual([])
      answers.add(JSON.stringify(answer))
    }
    const { id } = identityFrom({ seed })
    expect([...answers].map(answer => JSON.parse(answer))).toMatchObject([{ id, created: false }])
  })

  test('F19: the caller’s bytes are left as they are', () => {
    const given = Uint8Array.from(seed)
    identityFrom({ seed: given })
    identityFrom({ pkcs8: der })
    expect(Buffer.from(given).equals(seed)).toBe(true)
    expect(der.subarray(16).equals(seed)).toBe(true)
  })

  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const x25519 = generateKeyPairSync('x25519').privateKey
  const ed448 = generateKeyPairSync('ed448').privateKey
  const pkcs8 = { format: 'pem', type: 'pkcs8' } as const
  const refused: readonly [string, unknown, string][] = [
    ['P-256 PEM', { pem: p256.export(pkcs8).toString() }, 'not-ed25519'],
    ['P-256 SEC1 PEM', { pem: p256.export({ format: 'pem', type: 'sec1' }).toString() }, 'not-ed25519'],
    ['P-256 JWK', { jwk: p256.export({ format: 'jwk' }) }, 'not-ed25519'],
    ['X25519 DER', { pkcs8: x25519.export({ format: 'der', type: 'pkcs8' }) }, 'not-ed25519'],
    ['X25519 JWK', { jwk: x25519.export({ format: 'jwk' }) }, 'not-ed25519'],
    ['Ed448 PEM', { pem: ed448.export(pkcs8).toString() }, 'not-ed25519'],
    [
      'encrypted PEM',
      { pem: native.export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'secret' }).toString() },
      'encrypted',
    ],
    [
      'JWK with another x',
      { jwk: { kty: 'OKP', crv: 'Ed25519', d: seed.toString('base64url'), x: `A${x.slice(1)}` } },
      'public-key-mismatch',
    ],
    ['JWK without d', { jwk: { kty: 'OKP', crv: 'Ed25519', x } }, 'malformed'],
    ['31 bytes', { seed: seed.subarray(1) }, 'malformed'],
    ['an expanded 64-byte key', { seed: Buffer.concat([seed, Buffer.from(key, 'hex')]) }, 'malformed'],
    ['garbage PEM', { pem: 'not a key' }, 'malformed'],
    ['cut DER', { pkcs8: der.subarray(0, 40) }, 'malformed'],
  ]
  test.each(refused)(
    'F19 F64: %s is refused with a typed error that quotes nothing of it',
    async (_, source, reason) => {
      const failure = await failureOf(() => identityFrom(source as KeySource))
      expect(failure.code).toBe('KEY_SOURCE_UNSUPPORTED')
      expect(failure.detail).toMatchObject({ reason })
      expect(JSON.stringify(failure.detail) + failure.message).not.toContain(
        seed.toString('base64url').slice(0, 12),
      )
    },
  )

  test('a source in none of the forms is a caller’s mistake', () => {
    expect(() => identityFrom({} as KeySource)).toThrow(TypeError)
  })
})
