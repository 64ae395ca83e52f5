import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createEphemeralIdentity, type DeviceIdentity, identityFrom } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { afterAll, describe, expect, test } from 'vitest'
import { attempt, newToken } from './attempts.ts'
import { ROUNDS, release, startChild, toldBy } from './child-processes.ts'
import { until, WRITER } from './contract/open-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-tokens-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let places = 0
function newPath(): string {
  places += 1
  const place = join(directory, `place-${places}`)
  mkdirSync(place, { mode: 0o700 })
  return join(place, 'store.sqlite')
}

async function handedOut(store: PairingStore, identity: DeviceIdentity, token: string): Promise<string> {
  const answer = await store.admit(attempt({ identity, token, handsOutToken: true }))
  if (answer.outcome !== 'admitted' || answer.deviceToken === null) throw new Error('no token')
  return answer.deviceToken.token
}

/** Kills a process that rotates, after it has kept a few; gives what it kept last, and whether that is still live. */
async function killRotation(task: 'rotate' | 'rotate-unguarded'): Promise<boolean> {
  const path = newPath()
  const shared = randomBytes(32).toString('hex')
  const identity = identityFrom({ seed: shared })
  const store = await openSqliteStore({ path })
  const token = newToken()
  await store.putGatewayToken(token)
  const first = await handedOut(store, identity, token)
  const barrier = `${path}.go`
  const child = startChild({ task, path, barrier, token, shared })
  await release([child], barrier)
  const enough = 1 + Math.floor(Math.random() * 12)
  await until(() => toldBy([child]).length >= enough)
  child.process.kill('SIGKILL')
  await child.ended
  const kept = toldBy([child]).at(-1)?.id ?? first
  const answer = await store.admit(attempt({ identity, deviceToken: kept }))
  await store.close()
  return answer.outcome === 'admitted'
}

describe('device tokens in a file', () => {
  test('F68: whenever a rotation is killed, the token that the client kept last is live', async () => {
    for (let round = 0; round < ROUNDS; round += 1) expect(await killRotation('rotate')).toBe(true)
  })

  test('F68 control: it is not where the old one dies as the new one is made', async () => {
    for (let round = 0; round < 40; round += 1) {
      if (!(await killRotation('rotate-unguarded'))) return
    }
    throw new Error('40 kills, and none between the two')
  })

  test('M5: no token stands in any file of the store, only its hash', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    const token = newToken()
    await store.putGatewayToken(token)
    const identity = createEphemeralIdentity()
    const first = await handedOut(store, identity, token)
    const answer = await store.rotateDeviceToken(identity.id, { ...WRITER, role: 'operator' })
    if (answer.outcome !== 'rotated') throw new Error(answer.outcome)
    const bytes = () =>
      readdirSync(dirname(path)).map(file => readFileSync(join(dirname(path), file), 'latin1'))
    const isThere = (text: string) => bytes().some(each => each.includes(text))
    expect(isThere(identity.id)).toBe(true)
    for (const secret of [token, first, answer.issued.token]) {
      expect(isThere(secret)).toBe(false)
      expect(isThere(secret.slice(4, 30))).toBe(false)
    }
    expect(JSON.stringify(await store.listDeviceTokens(identity.id))).not.toMatch(/hfd_|hash/)
    await store.close()
  })

  test('a store of schema 1 is brought to this one where it lies, and what is in it stays', async () => {
    const path = newPath()
    const old = new DatabaseSync(path)
    old.exec(readFileSync(new URL('fixtures/schema-1.sql', import.meta.url), 'utf8'))
    old.close()
    chmodSync(path, 0o600)
    const nowMs = Date.parse('2026-03-01T12:00:01Z')
    const open = () => openSqliteStore({ path, clock: () => nowMs })
    // Of any number that open it together one changes it.
    const stores = await Promise.all([open(), open(), open()])
    const [store] = stores
    const devices = (await store.listDevices()).items
    expect(devices.map(({ trust, name, roles }) => [trust, name, roles[0]?.grant])).toEqual([
      ['trusted-local', 'worker', null],
      ['approved', null, ['operator.admin']],
    ])
    expect((await store.listRequests()).items).toHaveLength(1)
    const identity = identityFrom({ seed: '01'.repeat(32) })
    const token = 'v1-token-of-a-test-that-is-no-secret'
    const deviceToken = await handedOut(store, identity, token)
    for (const each of stores) {
      const answer = await each.admit(attempt({ identity, deviceToken, nowMs }))
      expect(answer).toMatchObject({ outcome: 'admitted', registered: false })
    }
    for (const each of stores) await each.close()
  })

  test('a store that nobody can write now keeps no known device out for want of a token', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    const token = newToken()
    await store.putGatewayToken(token)
    const identity = createEphemeralIdentity()
    await store.admit(attempt({ identity, token }))
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    const answer = await store.admit(attempt({ identity, token, handsOutToken: true }))
    expect(answer).toMatchObject({ outcome: 'admitted', deviceToken: null })
    other.exec('ROLLBACK')
    other.close()
    expect(await handedOut(store, identity, token)).toMatch(/^hfd_/)
    await store.close()
  })
})
