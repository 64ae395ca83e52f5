import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import { createEphemeralIdentity, identityFrom, parseDeviceId } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { afterAll, describe, expect, test } from 'vitest'
import { attempt, CEILING, MANY_SCOPES_ROLES, newToken } from './attempts.ts'
import { ROUNDS, release, startChild, type Told, toldBy } from './child-processes.ts'
import { until, WRITER } from './contract/open-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-processes-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let places = 0
function newPlace() {
  places += 1
  const place = join(directory, `place-${places}`)
  return { path: join(place, 'store.sqlite'), barrier: join(directory, `go-${places}`) }
}

async function startStore(path: string): Promise<{ readonly store: PairingStore; readonly token: string }> {
  const store = await openSqliteStore({ path })
  const token = newToken()
  await store.putGatewayToken(token)
  await store.putSettings({ roles: MANY_SCOPES_ROLES, ceiling: CEILING })
  return { store, token }
}

async function deviceIds(store: PairingStore): Promise<Set<string>> {
  return new Set((await store.listDevices({ limit: 1_000 })).items.map(each => each.deviceId))
}

/** Random moments at which a process is killed. */
const KILLS = process.env['HOLDFAST_LONG'] ? 200 : 10

/** What a process that was killed has told is so, or what it told later is. */
async function expectKept(
  store: PairingStore,
  kind: string,
  id: string,
  told: readonly Told[],
): Promise<void> {
  const deviceId = parseDeviceId(id)
  if (deviceId === null) throw new Error(`no device id: ${id}`)
  const device = await store.findDevice(deviceId)
  const isRevoked = device?.trust === 'revoked'
  const later = (step: string) => told.some(each => each.kind === step && each.id === id)
  // A step that was made, and not yet told, may have followed.
  const last = !later('revoked')
  switch (kind) {
    case 'registered':
      return expect(device?.roles).toHaveLength(1)
    case 'approved':
      if (!(isRevoked && (later('rotated') || last))) {
        expect(device?.roles[0]?.grant).toEqual(['operator.admin'])
      }
      return
    case 'rotated': {
      const tokens = await store.listDeviceTokens(deviceId)
      if (!isRevoked) expect(tokens).toMatchObject([{ pending: {} }])
      return
    }
    case 'revoked':
      expect([isRevoked, device?.roles[0]?.grant, await store.listDeviceTokens(deviceId)]).toEqual([
        true,
        null,
        [],
      ])
      return
    default:
      expect(device).toMatchObject({ trust: 'approved', roles: [{ grant: ['operator.read'] }] })
  }
}

/** Nothing half made: the database is sound, each device has its role, each spent code its device, the log each change. */
async function expectWhole(path: string, store: PairingStore): Promise<void> {
  expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact', unaudited: 0 })
  const database = new DatabaseSync(path, { readOnly: true })
  const count = (sql: string) => Object.values(database.prepare(sql).get() ?? {})[0]
  expect(count('PRAGMA integrity_check')).toBe('ok')
  expect(
    count('SELECT count(*) FROM device WHERE device_id NOT IN (SELECT device_id FROM device_role)'),
  ).toBe(0)
  expect(
    count('SELECT count(*) FROM device_role WHERE device_id NOT IN (SELECT device_id FROM device)'),
  ).toBe(0)
  const joined = `SELECT count(*) FROM device WHERE registered_by = 'join-code'`
  // By the log: spent codes themselves are cleared away when they expire, and many kills take longer than that.
  const spent = `SELECT count(*) FROM audit WHERE act = 'join-code-spent'`
  expect(count(spent)).toBe(count(joined))
  const nobodys = `SELECT count(*) FROM join_code WHERE spent_by NOT IN (SELECT device_id FROM device)`
  expect(count(nobodys)).toBe(0)
  const acts = `SELECT count(*) FROM audit WHERE act IN ('device-registered', 'join-code-spent')`
  expect(count(acts)).toBe(count('SELECT count(*) FROM device'))
  const approved = `SELECT count(*) FROM request WHERE request_id IN (SELECT subject FROM audit)`
  expect(count(approved)).toBe(0)
  database.close()
}

describe('a store and its processes', () => {
  test('M19 F44: of 8 processes with 50 mixed mutations each, all 400 effects are there', async () => {
    const { path, barrier } = newPlace()
    const { store, token } = await startStore(path)
    const shared = randomBytes(32).toString('hex')
    const children = Array.from({ length: 8 }, (_, index) =>
      startChild({ task: 'mutate', path, barrier, token, index, count: 50, shared }),
    )
    await release(children, barrier)
    expect(await Promise.all(children.map(each => each.ended))).toEqual(Array(8).fill(0))
    const told = toldBy(children)
    expect(told).toHaveLength(400)
    const devices = await deviceIds(store)
    const requests = new Set((await store.listRequests({ limit: 1_000 })).items.map(each => each.requestId))
    const shares = await store.findDevice(identityFrom({ seed: shared }).id)
    const scopes = new Set<string>(shares?.roles[0]?.grant)
    const present = { device: devices, request: requests, scope: scopes }
    const lost = told.filter(({ kind, id }) => !present[kind as keyof typeof present].has(id))
    expect(lost).toEqual([])
    expect([devices.size, requests.size, scopes.size]).toEqual([8 * 30 + 1, 8 * 10, 8 * 10])
    await store.close()
  })

  test('M19 control: the same race loses effects where everybody reads, changes and writes', async () => {
    const { barrier } = newPlace()
    const path = `${barrier}.json`
    writeFileSync(path, '[]')
    const children = Array.from({ length: 4 }, (_, index) =>
      startChild({ task: 'mutate-unguarded', path, barrier, index, count: 200 }),
    )
    await release(children, barrier)
    await Promise.all(children.map(each => each.ended))
    const rows = JSON.parse(readFileSync(path, 'utf8')) as string[]
    expect(toldBy(children)).toHaveLength(800)
    expect(rows.length).toBeLessThan(800)
  })

  test(
    'F43: whenever a process is killed, what it acknowledged is there, nothing is half made, and the store opens by itself',
    async () => {
      const { path } = newPlace()
      const { store, token } = await startStore(path)
      const kinds = new Set<string>()
      for (let round = 0; round < KILLS; round += 1) {
        const { barrier } = newPlace()
        const child = startChild({ task: 'acknowledge-mixed', path, barrier, token, index: round })
        await release([child], barrier)
        // So many steps, and a moment more: anywhere between this step and the next.
        const enough = round % 8
        await until(() => toldBy([child]).length >= enough)
        await wait(Math.random() * 20)
        child.process.kill('SIGKILL')
        await child.ended
        const again = await openSqliteStore({ path })
        for (const { kind, id } of toldBy([child])) {
          kinds.add(kind)
          await expectKept(again, kind, id, toldBy([child]))
        }
        await again.close()
      }
      if (KILLS > 5)
        expect([...kinds].sort()).toEqual(['approved', 'joined', 'registered', 'revoked', 'rotated'])
      await expectWhole(path, store)
      await store.close()
    },
    60_000 + KILLS * 5_000,
  )

  test('F43 control: a word that is given before the deed is found to be broken', async () => {
    const { path } = newPlace()
    const { store, token } = await startStore(path)
    // Nothing can be written while this is held, so whatever they say has not been done.
    const holder = new DatabaseSync(path)
    const { barrier } = newPlace()
    const child = startChild({ task: 'acknowledge-early', path, barrier, token })
    await until(() => child.lines[0] === 'ready')
    holder.exec('BEGIN IMMEDIATE')
    await release([child], barrier)
    await until(() => toldBy([child]).length > 0)
    child.process.kill('SIGKILL')
    await child.ended
    holder.exec('ROLLBACK')
    holder.close()
    const devices = await deviceIds(store)
    expect(toldBy([child]).filter(({ id }) => !devices.has(id))).not.toEqual([])
    await store.close()
  })

  test('of many processes that open a new store together all open the same one', async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const { path, barrier } = newPlace()
      const children = Array.from({ length: 8 }, () => startChild({ task: 'open', path, barrier }))
      await release(children, barrier)
      expect(await Promise.all(children.map(each => each.ended))).toEqual(Array(8).fill(0))
      expect(new Set(toldBy(children).map(each => each.id)).size).toBe(1)
      // Where the last two close at once, neither is the last to SQLite, and its journal stays for the next to open.
      const left = readdirSync(join(path, '..')).filter(name => !/^store\.sqlite-(wal|shm)$/.test(name))
      expect(left).toEqual(['store.sqlite'])
    }
  })

  test('a writer that holds the store for seconds freezes nobody: readers answer, and mutations wait or say so', async () => {
    const { path, barrier } = newPlace()
    const { store, token } = await startStore(path)
    const known = attempt({ token })
    await store.admit(known)
    const impatient = await openSqliteStore({ path, busyTimeoutMs: 100 })
    const child = startChild({ task: 'hold-lock', path, barrier, count: 1_500 })
    await release([child], barrier)
    await until(() => child.lines.includes('holding'))
    let turns = 0
    let waiting = true
    const turn = () => {
      turns += 1
      if (waiting) setImmediate(turn)
    }
    turn()
    const fresh = createEphemeralIdentity()
    const registration = store.admit(attempt({ identity: fresh, token })).finally(() => {
      waiting = false
    })
    await expect(impatient.revokeDevice(fresh.id, WRITER)).rejects.toMatchObject({
      code: 'STORE_BUSY',
      detail: { path },
    })
    for (let round = 0; round < 50; round += 1) {
      expect(await store.admit(known)).toMatchObject({ outcome: 'admitted' })
    }
    expect(waiting).toBe(true)
    expect(await registration).toMatchObject({ outcome: 'admitted', registered: true })
    expect(turns).toBeGreaterThan(200)
    await child.ended
    await impatient.close()
    await store.close()
  })

  test('control: a connection that waits inside SQLite lets the event loop do nothing', async () => {
    const { path, barrier } = newPlace()
    const { store } = await startStore(path)
    const child = startChild({ task: 'hold-lock', path, barrier, count: 500 })
    await release([child], barrier)
    await until(() => child.lines.includes('holding'))
    let turns = 0
    setImmediate(() => {
      turns += 1
    })
    const database = new DatabaseSync(path, { timeout: 10_000 })
    database.exec('BEGIN IMMEDIATE; ROLLBACK')
    expect(turns).toBe(0)
    database.close()
    await child.ended
    await store.close()
  })
})
