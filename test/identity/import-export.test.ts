import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  createEphemeralIdentity,
  exportIdentity,
  findIdentity,
  identityFrom,
  importIdentity,
  type KeySource,
  openIdentity,
  verifySignature,
} from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { startTogether } from '../support/processes.ts'
import { secretsIn } from './secret-spellings.ts'
import { rfcVectors } from './signature-cases.ts'
import { failureOf, freshFolder, treeOf } from './state-folder.ts'

const importer = new URL('./programs/import.ts', import.meta.url)
const { seed: hex } = rfcVectors[1]
const seed = Buffer.from(hex, 'hex')
const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
const native = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
const pem = native.export({ format: 'pem', type: 'pkcs8' }).toString()
const jwk = native.export({ format: 'jwk' })
const { id } = identityFrom({ seed: hex })

const publicPem = (from: Parameters<typeof createPrivateKey>[0]): string => {
  const { x = '' } = createPrivateKey(from).export({ format: 'jwk' })
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(x, 'base64url')])
  return `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`
}
const deviceJson = JSON.stringify({
  version: 1,
  deviceId: id,
  publicKeyPem: publicPem(pem),
  privateKeyPem: pem,
  createdAtMs: 1_700_000_000_000,
})

const sources: readonly [string, KeySource][] = [
  ['PKCS#8 PEM', { pem }],
  ['PKCS#8 DER', { pkcs8: der }],
  ['JWK', { jwk: { ...jwk } }],
  ['a seed in base64url', { seed: seed.toString('base64url') }],
  ['a seed in hex', { seed: hex }],
  ['a seed', { seed }],
  ['OpenClaw’s device.json', { deviceJson }],
]

describe('importIdentity', () => {
  test.each(sources)('F09 F11 F19: %s becomes the identity of an install, once', async (_, source) => {
    const directory = join(freshFolder(), 'state')
    const identity = await importIdentity(source, { directory })
    expect(identity).toMatchObject({ id, created: true, location: { directory } })
    const again = await importIdentity(source, { directory })
    expect(again).toMatchObject({ id, created: false })
    const opened = await openIdentity({ directory })
    expect(opened).toMatchObject({ id, created: false, createdAtMs: identity.createdAtMs })
    const message = Buffer.from('hello')
    expect(verifySignature(opened.publicKey, message, opened.sign(message))).toBe(true)
    expect(treeOf(directory)).toEqual(['device', join('device', 'key.json')])
    expect(seed.toString('hex')).toBe(hex)
  })

  test('keeps the time at which OpenClaw made the key', async () => {
    const directory = join(freshFolder(), 'state')
    expect((await importIdentity({ deviceJson }, { directory })).createdAtMs).toBe(1_700_000_000_000)
  })

  test('never replaces a key: this install stays the device it is', async () => {
    const directory = join(freshFolder(), 'state')
    const mine = await openIdentity({ directory })
    const before = readFileSync(join(directory, 'device', 'key.json'))
    const failure = await failureOf(() => importIdentity({ seed }, { directory }))
    expect(failure).toMatchObject({ code: 'IDENTITY_EXISTS', detail: { found: mine.id, offered: id } })
    writeFileSync(join(directory, 'device', 'key.json'), 'half')
    expect((await failureOf(() => importIdentity({ seed }, { directory }))).code).toBe('KEY_FILE_DAMAGED')
    expect(readFileSync(join(directory, 'device', 'key.json'), 'utf8')).toBe('half')
    expect(before.length).toBeGreaterThan(100)
  })

  test('F11: of eight processes that import two keys at once, one key wins, and all say which', async () => {
    const directory = join(freshFolder(), 'state')
    const outcomes = await startTogether(importer, 8, index => ({ args: [directory, String(index % 2)] }))
    const stored = (await findIdentity({ directory }))?.id
    const answers = outcomes.map(({ answer }) => answer as Record<string, unknown>)
    expect(answers.filter(({ created }) => created === true)).toHaveLength(1)
    for (const answer of answers) expect(answer['id'] ?? answer['found']).toBe(stored)
    expect(answers.filter(({ code }) => code === 'IDENTITY_EXISTS')).toHaveLength(4)
  })

  test('a parent’s place takes no key but the parent’s', async () => {
    const directory = join(freshFolder(), 'state')
    const other = createEphemeralIdentity().id
    const given = { HOLDFAST_DIR_HANDED: directory, HOLDFAST_DEVICE_HANDED: other }
    Object.assign(process.env, given)
    try {
      const failure = await failureOf(() => importIdentity({ seed }, { app: 'handed' }))
      expect(failure).toMatchObject({ code: 'IDENTITY_HANDED_DOWN', detail: { expected: other } })
      expect(existsSync(directory)).toBe(false)
      process.env['HOLDFAST_DEVICE_HANDED'] = id
      expect((await importIdentity({ seed }, { app: 'handed' })).created).toBe(true)
    } finally {
      for (const name of Object.keys(given)) delete process.env[name]
    }
  })

  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const other = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  const refused: readonly [string, KeySource, string][] = [
    ['P-256', { pem: p256.export({ format: 'pem', type: 'pkcs8' }).toString() }, 'not-ed25519'],
    [
      'P-256 in a device.json',
      {
        deviceJson: JSON.stringify({
          version: 1,
          privateKeyPem: p256.export({ format: 'pem', type: 'pkcs8' }).toString(),
        }),
      },
      'not-ed25519',
    ],
    [
      'a device.json of two halves',
      { deviceJson: JSON.stringify({ version: 1, privateKeyPem: pem, publicKeyPem: publicPem(other) }) },
      'public-key-mismatch',
    ],
    [
      'a device.json whose public key is none',
      { deviceJson: JSON.stringify({ version: 1, privateKeyPem: pem, publicKeyPem: 'none' }) },
      'public-key-mismatch',
    ],
    ['a device.json of another version', { deviceJson: JSON.stringify({ version: 2 }) }, 'malformed'],
    ['a device.json that is cut off', { deviceJson: deviceJson.slice(0, 200) }, 'malformed'],
  ]
  test.each(refused)('F19: %s is refused, and nothing is written', async (_, source, reason) => {
    const directory = join(freshFolder(), 'state')
    const failure = await failureOf(() => importIdentity(source, { directory }))
    expect(failure).toMatchObject({ code: 'KEY_SOURCE_UNSUPPORTED', detail: { reason } })
    expect(existsSync(directory)).toBe(false)
    expect(secretsIn(`${failure.stack} ${JSON.stringify(failure)}`, seed)).toEqual([])
  })
})

describe('exportIdentity', () => {
  test.each(['pem', 'der', 'jwk', 'seed'] as const)(
    'F19: %s goes out and comes back as the same device',
    async format => {
      const folder = freshFolder()
      const identity = await openIdentity({ directory: join(folder, 'state') })
      const path = join(folder, 'export')
      await exportIdentity(identity, { path, format })
      const bytes = readFileSync(path)
      const text = bytes.toString().trim()
      const source: KeySource = {
        pem: { pem: text },
        der: { pkcs8: bytes },
        jwk: { jwk: format === 'jwk' ? JSON.parse(text) : {} },
        seed: { seed: text },
      }[format]
      expect(identityFrom(source).id).toBe(identity.id)
    },
  )

  test.runIf(process.platform !== 'win32')(
    'H15 M23: is never readable by others, whatever the umask',
    async () => {
      const folder = freshFolder()
      const identity = await openIdentity({ directory: join(folder, 'state') })
      const umask = process.umask(0)
      try {
        await exportIdentity(identity, { path: join(folder, 'export') })
      } finally {
        process.umask(umask)
      }
      expect(statSync(join(folder, 'export')).mode & 0o7777).toBe(0o600)
    },
  )

  test('writes over nothing, follows no link, and leaves nothing where it fails', async () => {
    const folder = freshFolder()
    const identity = await openIdentity({ directory: join(folder, 'state') })
    writeFileSync(join(folder, 'taken'), 'mine')
    if (process.platform !== 'win32') symlinkSync(join(folder, 'elsewhere'), join(folder, 'link'))
    else writeFileSync(join(folder, 'link'), 'no links without privilege')
    mkdirSync(join(folder, 'folder'))
    const before = treeOf(folder)
    for (const name of ['taken', 'link', 'folder', 'nowhere/export']) {
      const failure = await failureOf(() => exportIdentity(identity, { path: join(folder, name) }))
      expect(failure.code).toBe('EXPORT_FAILED')
    }
    expect(treeOf(folder)).toEqual(before)
    expect(readFileSync(join(folder, 'taken'), 'utf8')).toBe('mine')
  })

  test('a gateway’s key goes out as well as a device’s', async () => {
    const folder = freshFolder()
    const directory = join(folder, 'state')
    await openIdentity({ directory })
    const gateway = await openIdentity({ directory, name: 'gateway' })
    await exportIdentity(gateway, { path: join(folder, 'export'), format: 'seed' })
    expect(identityFrom({ seed: readFileSync(join(folder, 'export'), 'utf8').trim() }).id).toBe(gateway.id)
  })

  test('an identity in memory does not hand its key out', async () => {
    const path = join(freshFolder(), 'export')
    const failure = await failureOf(() => exportIdentity(createEphemeralIdentity(), { path }))
    expect(failure.code).toBe('IDENTITY_IN_MEMORY')
    expect(existsSync(path)).toBe(false)
  })
})
