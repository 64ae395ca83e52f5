import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createEphemeralIdentity } from '@holdfast/identity'
import {
  isPairingStoreError,
  openSqliteStore,
  PairingStoreError,
  type PairingStoreErrorCode,
  type StoreChange,
} from '@holdfast/pairing-store'
import { afterAll, describe, expect, test } from 'vitest'
import { attempt, newToken } from './attempts.ts'
import { until, WRITER } from './contract/open-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-file-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let places = 0
function newPath(): string {
  places += 1
  const place = join(directory, `place-${places}`)
  mkdirSync(place, { mode: 0o700 })
  return join(place, 'store.sqlite')
}

async function madeStore(): Promise<string> {
  const path = newPath()
  await (await openSqliteStore({ path })).close()
  return path
}

async function expectRefused(path: string, code: PairingStoreErrorCode, detail: object = {}): Promise<void> {
  const before = existsSync(path) && statSync(path).isFile() ? readFileSync(path) : null
  const beside = readdirSync(dirname(path))
  await expect(openSqliteStore({ path })).rejects.toMatchObject({ name: 'PairingStoreError', code, detail })
  if (before !== null) expect(readFileSync(path).equals(before)).toBe(true)
  // Looking into a database makes SQLite's log and index, which stay where nobody may write; the log is empty.
  const made = readdirSync(dirname(path)).filter(each => !beside.includes(each))
  expect(made.filter(each => !/-(wal|shm)$/.test(each))).toEqual([])
  for (const log of made.filter(each => each.endsWith('-wal'))) {
    expect(statSync(join(dirname(path), log)).size).toBe(0)
  }
}

function edit(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}

const posix = process.platform === 'win32' ? test.skip : test

describe('the file of a store', () => {
  posix(
    'is 0600 in directories of 0700, log and index beside it too, and nothing else is left there',
    async () => {
      const path = join(directory, 'a', 'b', 'store.sqlite')
      const store = await openSqliteStore({ path })
      await store.putGatewayToken(newToken())
      const mode = (of: string) => statSync(of).mode & 0o777
      expect([mode(join(directory, 'a')), mode(dirname(path))]).toEqual([0o700, 0o700])
      const files = readdirSync(dirname(path))
      expect(files.sort()).toEqual(['store.sqlite', 'store.sqlite-shm', 'store.sqlite-wal'])
      for (const file of files) expect(mode(join(dirname(path), file))).toBe(0o600)
      await store.close()
      expect(readdirSync(dirname(path))).toEqual(['store.sqlite'])
    },
  )

  test('keeps its id, and what was written, from one opening to the next', async () => {
    const path = newPath()
    const first = await openSqliteStore({ path })
    const generation = await first.putGatewayToken(newToken())
    await first.close()
    const second = await openSqliteStore({ path })
    expect(second.storeId).toBe(first.storeId)
    expect(await second.findGatewayToken()).toEqual(generation)
    await second.close()
  })

  test('holds no gateway token, in none of its files', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    const token = newToken()
    await store.putGatewayToken(token)
    await store.admit(attempt({ token }))
    for (const file of readdirSync(dirname(path))) {
      expect(readFileSync(join(dirname(path), file)).includes(token)).toBe(false)
    }
    await store.close()
  })

  test('F41: an empty file, text, and half a store are refused and left as they are', async () => {
    const path = newPath()
    writeFileSync(path, '', { mode: 0o600 })
    await expectRefused(path, 'STORE_NOT_A_DATABASE', { path, reason: 'empty' })
    writeFileSync(path, '{"devices": []}')
    await expectRefused(path, 'STORE_NOT_A_DATABASE', { reason: 'format' })
    writeFileSync(path, readFileSync(await madeStore()).subarray(0, 50))
    await expectRefused(path, 'STORE_NOT_A_DATABASE', { reason: 'format' })
    writeFileSync(path, readFileSync(await madeStore()).subarray(0, 6_000))
    await expectRefused(path, 'STORE_UNREADABLE', { reason: 'damaged' })
  })

  test('F41: a store that is gone, but for its log, is not taken for a new one', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    await store.putGatewayToken(newToken())
    copyFileSync(`${path}-wal`, `${path}.kept`)
    await store.close()
    rmSync(path)
    renameSync(`${path}.kept`, `${path}-wal`)
    await expect(openSqliteStore({ path })).rejects.toMatchObject({
      code: 'STORE_UNREADABLE',
      detail: { path, reason: 'missing' },
    })
    expect(readdirSync(dirname(path))).toEqual(['store.sqlite-wal'])
  })

  test("another program's database is refused and left as it is", async () => {
    const path = newPath()
    writeFileSync(path, '', { mode: 0o600 })
    edit(path, 'CREATE TABLE device (device_id TEXT); INSERT INTO device VALUES (1)')
    await expectRefused(path, 'STORE_FOREIGN', { path })
  })

  test('a newer schema is refused and left as it is', async () => {
    const path = await madeStore()
    edit(path, 'UPDATE schema_version SET version = 1000')
    await expectRefused(path, 'STORE_SCHEMA_NEWER', { found: 1_000, known: expect.any(Number) })
  })

  test('rows that this package cannot have written are told as damage, and left as they are', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    const token = newToken()
    await store.putGatewayToken(token)
    const identity = createEphemeralIdentity()
    await store.admit(attempt({ identity, token }))
    edit(path, `UPDATE device SET public_key = 'x'; UPDATE store SET settings = '{'`)
    const damaged = { code: 'STORE_UNREADABLE', detail: { path, reason: 'damaged' } }
    await expect(store.listDevices()).rejects.toMatchObject(damaged)
    await expect(store.findDevice(identity.id)).rejects.toMatchObject(damaged)
    await expect(store.getSettings()).rejects.toMatchObject(damaged)
    await expect(store.revokeDevice(identity.id, WRITER)).rejects.toMatchObject(damaged)
    await store.close()
  })

  test('a store that a newer version takes over is not written any more by this one', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    edit(path, 'UPDATE schema_version SET version = version + 1')
    await expect(store.putGatewayToken(newToken())).rejects.toMatchObject({ code: 'STORE_SCHEMA_NEWER' })
    expect(await store.findGatewayToken()).toBeNull()
    await store.close()
  })

  posix(
    'a file that others may read, or a directory that others may write, is refused with the cure',
    async () => {
      const path = await madeStore()
      chmodSync(path, 0o644)
      await expectRefused(path, 'STORE_EXPOSED', {
        path,
        mode: 0o644,
        fix: expect.stringContaining('chmod 600'),
      })
      chmodSync(path, 0o600)
      chmodSync(dirname(path), 0o1777)
      await expectRefused(path, 'STORE_EXPOSED', { path: dirname(path) })
      chmodSync(dirname(path), 0o700)
      await (await openSqliteStore({ path })).close()
    },
  )

  test('a directory in the place of the file is refused', async () => {
    const path = newPath()
    mkdirSync(path, { mode: 0o700 })
    await expectRefused(path, 'STORE_UNREADABLE', { reason: 'not-a-file' })
  })

  posix('what a killed creator left behind is cleared, once it is old, and nothing else', async () => {
    const path = await madeStore()
    const left = join(dirname(path), '.store.sqlite.making-abc123')
    const young = join(dirname(path), '.store.sqlite.making-def456')
    const foreign = join(dirname(path), '.store.sqlite.backup')
    for (const each of [left, young, foreign]) mkdirSync(each)
    linkSync(path, join(left, 'store'))
    utimesSync(left, new Date(0), new Date(0))
    utimesSync(foreign, new Date(0), new Date(0))
    await (await openSqliteStore({ path })).close()
    expect(readdirSync(dirname(path)).sort()).toEqual([
      '.store.sqlite.backup',
      '.store.sqlite.making-def456',
      'store.sqlite',
    ])
  })

  posix('a file that was replaced is noticed: listeners are told, and every call says so', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    const token = newToken()
    await store.putGatewayToken(token)
    const identity = createEphemeralIdentity()
    await store.admit(attempt({ identity, token }))
    const heard: StoreChange[] = []
    store.subscribe(change => heard.push(change))
    copyFileSync(await madeStore(), `${path}.backup`)
    renameSync(`${path}.backup`, path)
    await until(() => heard.length > 0)
    expect(heard).toMatchObject([{ kind: 'store-lost', reason: 'replaced' }])
    const replaced = { code: 'STORE_REPLACED', detail: { path } }
    await expect(store.admit(attempt({ identity }))).rejects.toMatchObject(replaced)
    await expect(store.revokeDevice(identity.id, WRITER)).rejects.toMatchObject(replaced)
    await store.close()
  })

  posix('a replaced file is noticed without listeners too', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    rmSync(path)
    await until(async () => {
      try {
        await store.listDevices()
        return false
      } catch (error) {
        return isPairingStoreError(error, 'STORE_REPLACED')
      }
    })
    await store.close()
  })

  test('the log of changes is bounded, and whoever read too late is told so', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    const tokens = [newToken(), newToken()]
    const other = await openSqliteStore({ path })
    const heard: StoreChange[] = []
    other.subscribe(change => heard.push(change))
    // As if 20,000 changes had been made while the other process slept.
    edit(path, 'UPDATE store SET last_sequence = 20000')
    for (let count = 0; count < 300; count += 1) await store.putGatewayToken(tokens[count % 2] ?? '')
    await until(() => heard.some(each => each.kind === 'changes-missed'))
    expect(heard.filter(each => each.kind === 'changes-missed')).toHaveLength(1)
    await until(() => heard.at(-1)?.sequence === 20_300)
    await store.close()
    await other.close()
    const database = new DatabaseSync(path)
    expect(database.prepare('SELECT count(*) AS kept FROM change_log').get()).toEqual({ kept: 300 })
    expect(database.prepare('SELECT dropped_through FROM store').get()?.['dropped_through']).toBeGreaterThan(
      10_000,
    )
    database.close()
  })
})

describe('errors of the pairing store', () => {
  test('are told by their code, and hold what helps', () => {
    const error = new PairingStoreError('STORE_FOREIGN', { path: '/x', fix: 'do this' })
    expect(isPairingStoreError(error)).toBe(true)
    expect(isPairingStoreError(error, 'STORE_FOREIGN')).toBe(true)
    expect(isPairingStoreError(error, 'STORE_BUSY')).toBe(false)
    expect(isPairingStoreError(new Error('STORE_FOREIGN'))).toBe(false)
    expect(error.message).toContain('do this')
  })
})
