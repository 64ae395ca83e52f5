import { inspect } from 'node:util'
import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { openPostgresStore, type PairingStore, type PostgresStoreOptions } from '@holdfast/pairing-store'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { attempt, CEILING, newToken } from './attempts.ts'
import { PASSWORD, type PostgresServer, startPostgres } from './postgres-server.ts'

let server: PostgresServer
const opened: PairingStore[] = []

async function open(options: PostgresStoreOptions): Promise<PairingStore> {
  const store = await openPostgresStore(options)
  opened.push(store)
  return store
}

async function failure(opening: Promise<unknown>): Promise<unknown> {
  return opening.then(
    () => null,
    (error: unknown) => error,
  )
}

beforeAll(async () => {
  server = await startPostgres()
})
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close()
  await server.clear()
})
afterAll(() => server.stop())

describe('opening a store on PostgreSQL', () => {
  test('of 16 that open an empty database at once one makes the tables, and all have the same store', async () => {
    const url = await server.borrowDatabase()
    const stores = await Promise.all(Array.from({ length: 16 }, () => open({ url, maxConnections: 2 })))
    expect(new Set(stores.map(store => store.storeId)).size).toBe(1)
    const token = newToken()
    await Promise.all(stores.map(store => store.putGatewayToken(token)))
    expect((await stores[0]?.findAuditHead())?.sequence).toBe(1)
  })

  test('it has a schema of its own, and leaves what other programs have in the database', async () => {
    const url = await server.borrowDatabase()
    const name = new URL(url).pathname.slice(1)
    await server.run(name, 'drop table if exists device; create table device (mine int)')
    await open({ url })
    expect(await server.run(name, 'select * from device')).toEqual([])
    await server.run(name, 'drop schema holdfast cascade; create schema holdfast; create table holdfast.x ()')
    expect(await failure(openPostgresStore({ url }))).toMatchObject({ code: 'STORE_FOREIGN' })
    expect(await server.run(name, 'select * from holdfast.x')).toEqual([])
  })

  test('a schema that this version does not know is refused, to open and to write', async () => {
    const url = await server.borrowDatabase()
    const store = await open({ url })
    await server.run(new URL(url).pathname.slice(1), 'update holdfast.schema_version set version = 10000')
    const newer = { code: 'STORE_SCHEMA_NEWER', detail: { found: 10_000 } }
    expect(await failure(openPostgresStore({ url }))).toMatchObject(newer)
    await expect(store.putGatewayToken(newToken())).rejects.toMatchObject(newer)
  })

  test('a store of the version before is brought to this one by whoever opens it first, and what is in it stays', async () => {
    const url = await server.borrowDatabase()
    const name = new URL(url).pathname.slice(1)
    const fresh = await open({ url })
    await fresh.putGatewayToken(newToken())
    const read = (statement: string) => server.run(name, statement)
    // Made with the tables, whose columns are given the order of bytes after that; or beside them.
    const order =
      'select collname from pg_index, unnest(indcollation) as each(id) join pg_collation on oid = each.id ' +
      `where indexrelid = 'holdfast.device_name'::regclass`
    const before = await read('select version from holdfast.schema_version')
    expect(await read(order)).toEqual([{ collname: 'C' }, { collname: 'C' }])
    await read('drop index holdfast.device_name; update holdfast.schema_version set version = 6')
    const stores = await Promise.all(Array.from({ length: 4 }, () => open({ url })))
    expect(await read('select version from holdfast.schema_version')).toEqual(before)
    expect(await read(order)).toEqual([{ collname: 'C' }, { collname: 'C' }])
    for (const store of stores) expect(await store.findAuditHead()).toEqual(await fresh.findAuditHead())
  })

  test('the server itself refuses to change, drop or empty the audit log', async () => {
    const url = await server.borrowDatabase()
    const store = await open({ url })
    await store.putGatewayToken(newToken())
    const name = new URL(url).pathname.slice(1)
    for (const act of [
      `update holdfast.audit set actor = 'x'`,
      'delete from holdfast.audit',
      'truncate holdfast.audit',
    ]) {
      await expect(server.run(name, act)).rejects.toThrow()
    }
    expect((await store.verifyAudit()).outcome).toBe('intact')
  })

  test('a pool of the caller stays the caller’s, and its other users see `bigint` as before', async () => {
    const url = await server.borrowDatabase()
    const pool = new pg.Pool({ connectionString: url, max: 3 })
    const store = await openPostgresStore({ pool })
    const heard: string[] = []
    store.subscribe(change => heard.push(change.kind))
    await store.putGatewayToken(newToken())
    expect(heard).toEqual(['gateway-token-changed'])
    expect((await pool.query('select 1::bigint as one')).rows).toEqual([{ one: '1' }])
    await store.close()
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    expect(pool.idleCount).toBe(pool.totalCount)
    await pool.end()
  })

  test('what cannot be reached says why, and no error, store or inspection of one holds the password', async () => {
    const url = await server.borrowDatabase()
    const store = await open({ url })
    await store.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
    const cases = [
      [server.url('nowhere'), 'no-database'],
      [url.replace(PASSWORD, `${PASSWORD}x`), 'login'],
      [server.url('postgres', 1), 'refused'],
    ] as const
    const shown: string[] = [inspect(store, { depth: 20, showHidden: true })]
    for (const [bad, reason] of cases) {
      const error = await failure(openPostgresStore({ url: bad, answerTimeoutMs: 3_000 }))
      expect(error).toMatchObject({ code: 'STORE_UNREACHABLE', detail: { reason } })
      shown.push(inspect(error, { depth: 20, showHidden: true }), JSON.stringify(error), String(error))
    }
    const unreadable = await failure(openPostgresStore({ url: `postgres://u:${PASSWORD}@[bad/x` }))
    shown.push(inspect(unreadable, { depth: 20, showHidden: true }))
    shown.push(inspect(await failure(openPostgresStore({ url: `mysql://u:${PASSWORD}@h/x` }))))
    for (const text of shown) expect(text).not.toContain(PASSWORD)
  })

  test('an admission that writes nothing waits for no writer', async () => {
    const url = await server.borrowDatabase()
    const store = await open({ url })
    const token = newToken()
    await store.putGatewayToken(token)
    await store.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
    const wished = attempt({ token })
    await store.admit(wished)
    const blocker = new pg.Client({ connectionString: url })
    await blocker.connect()
    await blocker.query(`begin; select pg_advisory_xact_lock(${0x686f6c64}, 1)`)
    expect(await store.admit(wished)).toMatchObject({ outcome: 'admitted', registered: false })
    const impatient = await open({ url, busyTimeoutMs: 50 })
    // The control: whoever writes waits for it.
    await expect(impatient.admit(attempt({ token }))).rejects.toMatchObject({ code: 'STORE_BUSY' })
    await blocker.end()
    expect(await impatient.admit(attempt({ token }))).toMatchObject({ registered: true })
  })

  test('without the package `pg` everything else works, and this call says what to install', async () => {
    const script = new URL('children/without-pg.ts', import.meta.url)
    const run = await runProgram(script, { fromSources: true })
    expect(run).toMatchObject({ stderr: '', stdout: 'STORE_DRIVER_MISSING npm install pg\n' })
  })
})
