import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceId } from '@holdfast/identity'
import {
  isPairingStoreError,
  openPostgresStore,
  type PairingStore,
  type PostgresStoreOptions,
  type StoreChange,
} from '@holdfast/pairing-store'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { attempt, CEILING, newToken } from './attempts.ts'
import { until, WRITER } from './contract/open-store.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'

const LONG = process.env['HOLDFAST_LONG'] !== undefined

let server: PostgresServer
let proxy: TcpProxy
let token: string
let database: string
const closing: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  server = await startPostgres()
  proxy = await startTcpProxy([server.port])
})
afterAll(async () => {
  await proxy.close()
  await server.stop()
})
afterEach(async () => {
  proxy.stall(false)
  for (const close of closing.splice(0).reverse()) await close()
  await server.clear()
})

async function open(options: PostgresStoreOptions): Promise<PairingStore> {
  const store = await openPostgresStore(options)
  closing.push(() => store.close())
  return store
}

/** A store with a token, as a gate leaves it: one that is opened through the proxy, one past it. */
async function openBoth(
  options: { readonly answerTimeoutMs?: number; readonly busyTimeoutMs?: number } = {},
) {
  const url = await server.borrowDatabase()
  database = new URL(url).pathname.slice(1)
  const direct = await open({ url })
  token = newToken()
  await direct.putGatewayToken(token)
  await direct.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
  const store = await open({ url: server.url(database, proxy.port), ...options })
  return { store, direct, url }
}

/** Registers devices until it is told to stop. Everything that goes wrong is a typed error. */
function registering(store: PairingStore) {
  const acknowledged: DeviceId[] = []
  const codes = new Set<string>()
  let stopped = false
  const ended = (async () => {
    while (!stopped) {
      const identity = createEphemeralIdentity()
      try {
        const answer = await store.admit(attempt({ identity, token }))
        if (answer.outcome === 'admitted') acknowledged.push(identity.id)
      } catch (error) {
        if (!isPairingStoreError(error)) throw error
        codes.add(error.code)
        await new Promise(done => setTimeout(done, 5))
      }
    }
  })()
  const stop = () => {
    stopped = true
    return ended
  }
  return { acknowledged, codes, stop }
}

async function everyDevice(store: PairingStore): Promise<Set<DeviceId>> {
  const all = new Set<DeviceId>()
  for (let after: string | null = ''; after !== null; ) {
    const page = await store.listDevices({ limit: 1_000, ...(after !== '' && { after }) })
    for (const { deviceId } of page.items) all.add(deviceId)
    after = page.next
  }
  return all
}

describe('a server that fails', () => {
  test('killed and started again under load, twice: nothing acknowledged is lost, and the store goes on by itself', async () => {
    const { store } = await openBoth()
    const load = [registering(store), registering(store)]
    const count = () => load.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
    for (let round = 0; round < (LONG ? 10 : 2); round += 1) {
      const before = count()
      await until(() => count() >= before + 10)
      await server.kill()
      await until(() => load.every(({ codes }) => codes.size > 0))
      await server.restart()
    }
    const before = count()
    await until(() => count() >= before + 10)
    for (const { stop } of load) await stop()
    const known = await everyDevice(store)
    for (const { acknowledged, codes } of load) {
      for (const id of acknowledged) expect(known.has(id)).toBe(true)
      for (const code of codes)
        expect(['STORE_UNREACHABLE', 'STORE_OUTCOME_UNKNOWN', 'STORE_BUSY']).toContain(code)
    }
    expect((await store.verifyAudit()).outcome).toBe('intact')
  })

  test('connections that are dropped again and again cost no acknowledged change, and a listener hears each once', async () => {
    const { store, direct } = await openBoth()
    const heard: StoreChange[] = []
    store.subscribe(change => heard.push(change))
    const load = registering(store)
    for (let round = 0; round < (LONG ? 50 : 8); round += 1) {
      const before = load.acknowledged.length
      await until(() => load.acknowledged.length > before + 2)
      proxy.cut()
    }
    await load.stop()
    const known = await everyDevice(direct)
    for (const id of load.acknowledged) expect(known.has(id)).toBe(true)
    await until(() => heard.length >= known.size)
    const sequences = heard.map(each => each.sequence)
    expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b))
    expect(new Set(heard.map(each => ('deviceId' in each ? each.deviceId : each.kind)))).toEqual(known)
  })

  test('a connection that breaks during the commit: the caller is told that nobody knows', async () => {
    const { store, direct } = await openBoth()
    const identity = createEphemeralIdentity()
    proxy.after('; commit', 'cut')
    await expect(store.admit(attempt({ identity, token }))).rejects.toMatchObject({
      code: 'STORE_OUTCOME_UNKNOWN',
    })
    // The server had it all: here it was made.
    await until(async () => (await direct.findDevice(identity.id)) !== null)
    expect(await store.admit(attempt({ identity, token }))).toMatchObject({ outcome: 'admitted' })
  })

  test.each([
    ['an empty one', 'another-store'],
    ['one that is behind', 'behind'],
  ] as const)(
    'failover to %s: nobody is admitted, and the right one is found again by itself',
    async (_, reason) => {
      const { store, url } = await openBoth()
      const wished = attempt({ token })
      await store.admit(wished)
      const swap = async (from: string, to: string) => {
        await server.run('postgres', `alter database "${from}" rename to "${to}"`)
      }
      const other = `${database}-other`
      const dropConnections = () =>
        server.run(
          'postgres',
          `select pg_terminate_backend(pid) from pg_stat_activity where datname is not null and pid <> pg_backend_pid()`,
        )
      await dropConnections()
      await server.run(
        'postgres',
        `create database "${other}" ${reason === 'behind' ? `template "${database}"` : ''}`,
      )
      await store.revokeDevice(
        wished.proof.verdict === 'verified' ? wished.proof.proof.deviceId : ('' as never),
        WRITER,
      )
      expect(await store.admit(wished)).toMatchObject({ refusal: { code: 'device-revoked' } })
      await dropConnections()
      await swap(database, `${database}-right`)
      await swap(other, database)
      const refused = { code: 'STORE_ROLLED_BACK', detail: { reason } }
      for (const call of [
        () => store.admit(wished),
        () => store.putGatewayToken(newToken()),
        () => store.listDevices(),
      ]) {
        await expect(call()).rejects.toMatchObject(refused)
      }
      // The control: without what this process has seen, the one that is behind lets the revoked in again.
      if (reason === 'behind') {
        const fresh = await openPostgresStore({ url })
        expect(await fresh.admit(wished)).toMatchObject({ outcome: 'admitted' })
        await fresh.close()
      }
      await dropConnections()
      await server.run('postgres', `drop database "${database}"`)
      await swap(`${database}-right`, database)
      expect(await store.admit(wished)).toMatchObject({ refusal: { code: 'device-revoked' } })
    },
  )

  test('a pool that is used up, and a server that does not answer, are typed errors in time, and pass', async () => {
    const { store, url } = await openBoth({ answerTimeoutMs: 300, busyTimeoutMs: 300 })
    const pool = new pg.Pool({ connectionString: url, max: 1 })
    closing.push(() => pool.end())
    const cramped = await open({ pool, answerTimeoutMs: 200, busyTimeoutMs: 200 })
    const client = await pool.connect()
    const none = { code: 'STORE_UNREACHABLE', detail: { reason: 'connections' } }
    await expect(cramped.findGatewayToken()).rejects.toMatchObject(none)
    await expect(cramped.putGatewayToken(newToken())).rejects.toMatchObject(none)
    client.release()
    await cramped.findGatewayToken()
    proxy.stall(true)
    const slow = { code: 'STORE_UNREACHABLE', detail: { reason: 'timeout' } }
    await expect(store.findGatewayToken()).rejects.toMatchObject(slow)
    const writes = await Promise.allSettled(Array.from({ length: 5 }, () => store.admit(attempt({ token }))))
    for (const each of writes)
      expect(each).toMatchObject({ status: 'rejected', reason: { name: 'PairingStoreError' } })
    proxy.stall(false)
    await until(() =>
      store.admit(attempt({ token })).then(
        ({ outcome }) => outcome === 'admitted',
        () => false,
      ),
    )
  })

  test('a writer that is cut off in the middle of its transaction does not hold the lock for long', async () => {
    const { store, direct } = await openBoth({ answerTimeoutMs: 500 })
    await store.findGatewayToken()
    // Its first write: it has the lock by then.
    proxy.after('insert into', 'stall')
    const cut = store.admit(attempt({ token }))
    await expect(cut).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', detail: { reason: 'timeout' } })
    await direct.putGatewayToken(newToken())
    proxy.stall(false)
    await until(() =>
      store.findGatewayToken().then(
        () => true,
        () => false,
      ),
    )
  })

  test('no revocation goes unheard where the line that listens is cut while they are made', async () => {
    const { store, direct } = await openBoth()
    const ids: DeviceId[] = []
    for (let count = 0; count < (LONG ? 1_000 : 40); count += 1) {
      const identity = createEphemeralIdentity()
      await direct.admit(attempt({ identity, token }))
      ids.push(identity.id)
    }
    const heard: StoreChange[] = []
    store.subscribe(change => heard.push(change))
    await store.findGatewayToken()
    for (const [index, id] of ids.entries()) {
      if (index % 13 === 5) proxy.cut()
      await direct.revokeDevice(id, { ...WRITER, keepRegistration: true })
    }
    await until(() => heard.length >= ids.length)
    expect(heard.map(each => ('deviceId' in each ? each.deviceId : each.kind))).toEqual(ids)
  })
})
