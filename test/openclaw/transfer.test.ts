import { generateKeyPairSync } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { inspect } from 'node:util'
import { createEphemeralIdentity, openIdentity } from '@holdfast/identity'
import { exportToOpenClaw, importOpenClawIdentity } from '@holdfast/openclaw'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startTogether } from '../support/processes.ts'
import { createPlainKey, type PlainKey } from './plain-client.ts'

let directory: string
let openclawDirectory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'holdfast-transfer-'))
  openclawDirectory = mkdtempSync(join(tmpdir(), 'holdfast-transfer-oc-'))
})
afterEach(() => {
  for (const folder of [directory, openclawDirectory]) rmSync(folder, { recursive: true, force: true })
})

const keyFile = (): string => join(openclawDirectory, 'identity', 'device.json')
const database = (): string => join(openclawDirectory, 'state', 'openclaw.sqlite')

interface Pems {
  readonly publicKeyPem: string
  readonly privateKeyPem: string
}

function pemsOf(key: PlainKey): Pems {
  const jwk = key.privateKey.export({ format: 'jwk' })
  const publicKeyPem = `-----BEGIN PUBLIC KEY-----\n${Buffer.concat([
    Buffer.from('302a300506032b6570032100', 'hex'),
    Buffer.from(jwk.x ?? '', 'base64url'),
  ]).toString('base64')}\n-----END PUBLIC KEY-----\n`
  return { publicKeyPem, privateKeyPem: key.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString() }
}

function writeDeviceJson(key: PlainKey, changes: Readonly<Record<string, unknown>> = {}): void {
  const fields = { version: 1, deviceId: key.deviceId, ...pemsOf(key), createdAtMs: 1_700_000_000_000 }
  writeKeyText(`${JSON.stringify({ ...fields, ...changes }, null, 2)}\n`)
}

function writeKeyText(text: string): void {
  mkdirSync(join(openclawDirectory, 'identity'), { recursive: true })
  writeFileSync(keyFile(), text, { mode: 0o600 })
}

function writeDatabase(key: PlainKey | null): DatabaseSync {
  mkdirSync(join(openclawDirectory, 'state'))
  const opened = new DatabaseSync(database())
  opened.exec(`pragma journal_mode = wal; create table device_identities (identity_key text primary key, device_id text,
    public_key_pem text, private_key_pem text, created_at_ms integer, updated_at_ms integer)`)
  if (key !== null) {
    const { publicKeyPem, privateKeyPem } = pemsOf(key)
    opened
      .prepare('insert into device_identities values (?, ?, ?, ?, ?, ?)')
      .run('primary', key.deviceId, publicKeyPem, privateKeyPem, 1_700_000_000_000, 1_700_000_000_000)
  }
  return opened
}

const adopt = () => importOpenClawIdentity({ directory, openclawDirectory })

describe('importing', () => {
  test('without an OpenClaw there is nothing to adopt, and no identity is made', async () => {
    expect(await adopt()).toBe(null)
    expect(existsSync(join(directory, 'device'))).toBe(false)
  })

  test.each<readonly [string, (pems: Pems) => Readonly<Record<string, unknown>>]>([
    ['as OpenClaw writes it', () => ({})],
    ['another line ending', pems => ({ privateKeyPem: pems.privateKeyPem.replaceAll('\n', '\r\n') })],
    ['the id stated wrongly', () => ({ deviceId: '0'.repeat(64) })],
    ['more in it', () => ({ note: 'x' })],
    ['no word of when it was made', () => ({ createdAtMs: undefined })],
  ])('adopts the key of a file: %s; and leaves it alone', async (_, changes) => {
    const key = createPlainKey()
    writeDeviceJson(key, changes(pemsOf(key)))
    const before = readFileSync(keyFile(), 'utf8')
    expect(await adopt()).toMatchObject({
      outcome: 'adopted',
      source: keyFile(),
      identity: { id: key.deviceId },
    })
    expect(await adopt()).toMatchObject({ outcome: 'present' })
    expect((await openIdentity({ directory })).id).toBe(key.deviceId)
    expect(readFileSync(keyFile(), 'utf8')).toBe(before)
  })

  test('exports a key whose file an editor gave a byte order mark', async () => {
    const identity = await openIdentity({ directory })
    const path = join(directory, 'device', 'key.json')
    writeFileSync(path, `\uFEFF${readFileSync(path, 'utf8')}`)
    await exportToOpenClaw({ identity, openclawDirectory })
    expect(JSON.parse(readFileSync(keyFile(), 'utf8')).deviceId).toBe(identity.id)
  })

  test('takes over when the key was made', async () => {
    writeDeviceJson(createPlainKey())
    expect((await adopt())?.identity.createdAtMs).toBe(1_700_000_000_000)
  })

  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  test.each([
    ['empty', 'malformed', () => writeKeyText('')],
    ['cut off', 'malformed', () => writeKeyText('{"version":1,"privateKeyPem":"-----BEG')],
    ['a list', 'malformed', () => writeKeyText('[]')],
    ['of a later version', 'malformed', () => writeDeviceJson(createPlainKey(), { version: 2 })],
    ['without a key', 'malformed', () => writeDeviceJson(createPlainKey(), { privateKeyPem: '' })],
    [
      'of another kind of key',
      'not-ed25519',
      () =>
        writeDeviceJson(createPlainKey(), {
          privateKeyPem: p256.privateKey.export({ format: 'pem', type: 'pkcs8' }),
          publicKeyPem: p256.publicKey.export({ format: 'pem', type: 'spki' }),
        }),
    ],
    [
      'of two halves that do not belong together',
      'public-key-mismatch',
      () => writeDeviceJson(createPlainKey(), { publicKeyPem: pemsOf(createPlainKey()).publicKeyPem }),
    ],
  ])(
    'refuses a file that is %s, says why without quoting it, and leaves it alone',
    async (_, reason, write) => {
      write()
      const before = readFileSync(keyFile(), 'utf8')
      const failure = await adopt().catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 'OPENCLAW_KEY_DAMAGED', detail: { path: keyFile(), reason } })
      expect(String((failure as Error).stack)).not.toContain('BEGIN')
      expect(inspect(failure, { depth: 9 })).not.toContain('BEGIN')
      expect(readFileSync(keyFile(), 'utf8')).toBe(before)
      expect(existsSync(join(directory, 'device'))).toBe(false)
    },
  )

  test.skipIf(process.platform === 'win32')(
    'does not adopt a key that others can read, or reach by a link',
    async () => {
      writeDeviceJson(createPlainKey())
      chmodSync(keyFile(), 0o644)
      await expect(adopt()).rejects.toMatchObject({ code: 'OPENCLAW_KEY_EXPOSED', detail: { mode: 0o644 } })
      expect(statSync(keyFile()).mode & 0o777).toBe(0o644)
      chmodSync(keyFile(), 0o600)
      const elsewhere = join(openclawDirectory, 'elsewhere.json')
      writeFileSync(elsewhere, readFileSync(keyFile()), { mode: 0o600 })
      rmSync(keyFile())
      symlinkSync(elsewhere, keyFile())
      await expect(adopt()).rejects.toMatchObject({ code: 'OPENCLAW_KEY_FOREIGN' })
    },
  )

  test('never replaces the identity that the install has', async () => {
    const identity = await openIdentity({ directory })
    const key = createPlainKey()
    writeDeviceJson(key)
    const detail = { offered: key.deviceId, found: identity.id }
    await expect(adopt()).rejects.toMatchObject({ code: 'IDENTITY_EXISTS', detail })
    expect((await openIdentity({ directory })).id).toBe(identity.id)
  })

  test('reads a database beside its owner, and one at rest, and writes nothing there', async () => {
    const key = createPlainKey()
    const owner = writeDatabase(key)
    const names = (): string[] => readdirSync(join(openclawDirectory, 'state')).toSorted()
    const beside = names()
    expect(beside).toHaveLength(3)
    expect(await adopt()).toMatchObject({
      outcome: 'adopted',
      source: database(),
      identity: { id: key.deviceId },
    })
    expect(names()).toEqual(beside)
    owner.close()
    expect(names()).toEqual(['openclaw.sqlite'])
    const bytes = readFileSync(database())
    expect(await adopt()).toMatchObject({ outcome: 'present' })
    expect(names()).toEqual(['openclaw.sqlite'])
    expect(readFileSync(database()).equals(bytes)).toBe(true)
  })

  test('a database goes before a file; one without an identity does not', async () => {
    const [inFile, inDatabase] = [createPlainKey(), createPlainKey()]
    writeDeviceJson(inFile)
    writeDatabase(null).close()
    expect((await adopt())?.identity.id).toBe(inFile.deviceId)
    rmSync(join(openclawDirectory, 'state'), { recursive: true })
    rmSync(join(directory, 'device'), { recursive: true })
    writeDatabase(inDatabase).close()
    expect((await adopt())?.identity.id).toBe(inDatabase.deviceId)
  })

  test.each([
    ['that is none', () => writeFileSync(database(), 'not a database at all, but long enough to look at')],
    ['with a log that nobody finished', () => writeFileSync(`${database()}-wal`, 'x')],
  ])('says so where it finds a database %s', async (_, spoil) => {
    writeDatabase(createPlainKey()).close()
    spoil()
    await expect(adopt()).rejects.toMatchObject({ code: 'OPENCLAW_KEY_UNREADABLE' })
  })
})

describe('exporting', () => {
  const give = async () =>
    exportToOpenClaw({ identity: await openIdentity({ directory }), openclawDirectory })

  test('writes what importing reads: the same device, for this user alone', async () => {
    const { id } = await openIdentity({ directory })
    expect(await give()).toEqual({ outcome: 'written', path: keyFile() })
    expect(await give()).toEqual({ outcome: 'present', path: keyFile() })
    expect(statSync(keyFile()).mode & 0o777).toBe(process.platform === 'win32' ? 0o666 : 0o600)
    expect(JSON.parse(readFileSync(keyFile(), 'utf8'))).toMatchObject({ version: 1, deviceId: id })
    const other = mkdtempSync(join(tmpdir(), 'holdfast-transfer-'))
    expect((await importOpenClawIdentity({ directory: other, openclawDirectory }))?.identity.id).toBe(id)
    rmSync(other, { recursive: true })
    expect(readdirSync(join(openclawDirectory, 'identity'))).toEqual(['device.json'])
  })

  test('never over another key, and never beside a database', async () => {
    writeDeviceJson(createPlainKey())
    const before = readFileSync(keyFile(), 'utf8')
    await expect(give()).rejects.toMatchObject({ code: 'OPENCLAW_IDENTITY_DIFFERS' })
    expect(readFileSync(keyFile(), 'utf8')).toBe(before)
    rmSync(keyFile())
    writeDatabase(null).close()
    await expect(give()).rejects.toMatchObject({ code: 'OPENCLAW_USES_DATABASE' })
    expect(existsSync(keyFile())).toBe(false)
  })

  test('an identity in memory is not exported', async () => {
    const given = exportToOpenClaw({ identity: createEphemeralIdentity(), openclawDirectory })
    await expect(given).rejects.toMatchObject({ code: 'IDENTITY_IN_MEMORY' })
  })

  test('of 16 installs that export at once one writes, and the others hear of it', async () => {
    const program = new URL('./programs/export-identity.ts', import.meta.url)
    const outcomes = await startTogether(program, 16, index => ({
      args: [join(directory, `install-${index}`), openclawDirectory],
    }))
    const answers = outcomes.map(
      ({ answer, stderr }) => (answer as { said: string } | undefined)?.said ?? stderr,
    )
    expect(answers.toSorted()).toEqual([...Array(15).fill('OPENCLAW_IDENTITY_DIFFERS'), 'written'])
    expect(readdirSync(join(openclawDirectory, 'identity'))).toEqual(['device.json'])
  })
})
