import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { identityFrom } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'
import { afterAll, describe, expect, test } from 'vitest'
import { attempt, REMOTE } from './attempts.ts'
import { WRITER } from './contract/open-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-migrations-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const fixtures = new URL('fixtures/', import.meta.url)
const TOKEN = 'fixture-token-of-a-test-that-is-no-secret'
const nowMs = Date.parse('2026-03-01T12:00:01Z')

function schemaOf(path: string): unknown {
  const database = new DatabaseSync(path)
  const { version } = database.prepare('SELECT version FROM schema_version').get() ?? {}
  database.close()
  return version
}

/** The parts of a database, as their statements say, however often they were altered on the way. */
function partsOf(path: string): unknown {
  const database = new DatabaseSync(path)
  const parts = database.prepare('SELECT type, name FROM sqlite_master ORDER BY name').all()
  const columns = parts.map(({ type, name }) =>
    type === 'table' ? database.prepare(`PRAGMA table_info("${name}")`).all() : [],
  )
  database.close()
  return JSON.parse(JSON.stringify([parts, columns]))
}

function fromFixture(version: number): string {
  const place = join(directory, `schema-${version}`)
  mkdirSync(place, { mode: 0o700 })
  const path = join(place, 'store.sqlite')
  const old = new DatabaseSync(path)
  old.exec(readFileSync(new URL(`schema-${version}.sql`, fixtures), 'utf8'))
  old.close()
  chmodSync(path, 0o600)
  return path
}

async function newStore() {
  const path = join(directory, 'new', 'store.sqlite')
  await (await openSqliteStore({ path })).close()
  return path
}

describe('a store of an earlier version', async () => {
  const fresh = await newStore()
  const newest = Number(schemaOf(fresh))
  const earlier = Array.from({ length: newest - 2 }, (_, index) => index + 2)

  test('of every one there is a specimen', () => {
    const kept = readdirSync(fixtures).filter(each => each.endsWith('.sql'))
    expect(kept.sort()).toEqual(Array.from({ length: newest - 1 }, (_, index) => `schema-${index + 1}.sql`))
  })

  test.each(earlier)('of schema %i becomes what a new one is, and what is in it stays', async version => {
    const path = fromFixture(version)
    expect(schemaOf(path)).toBe(version)
    const open = () => openSqliteStore({ path, clock: () => nowMs })
    const stores = await Promise.all([open(), open()])
    const [store] = stores
    const [local, approved, revoked] = ['01', '02', '03'].map(byte => identityFrom({ seed: byte.repeat(32) }))
    if (local === undefined || approved === undefined || revoked === undefined) throw new Error('no devices')
    const admit = (wished: Parameters<typeof attempt>[0]) => store.admit(attempt({ nowMs, ...wished }))
    expect(await admit({ identity: local, token: TOKEN })).toMatchObject({
      outcome: 'admitted',
      registered: false,
    })
    expect(await store.listDeviceTokens(local.id)).toMatchObject([{ role: 'operator', pending: {} }])
    const everything = { identity: approved, origin: REMOTE, scopes: ['operator.admin'] }
    expect(await admit(everything)).toMatchObject({ outcome: 'admitted' })
    expect(await admit({ identity: revoked, token: TOKEN })).toMatchObject({
      refusal: { code: 'device-revoked' },
    })
    const [request] = (await store.listRequests()).items
    if (request === undefined) throw new Error('no request')
    const { requestId, digest: expectedDigest } = request
    expect(await store.approveRequest(requestId, { ...WRITER, expectedDigest })).toMatchObject({
      outcome: 'approved',
    })
    expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact' })
    for (const each of stores) await each.close()
    expect([schemaOf(path), partsOf(path)]).toEqual([newest, partsOf(fresh)])
  })
})
