import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type GateEvent, type RunningGateway, readAuditHead, startGateway } from '@holdfast/gateway'
import { createEphemeralIdentity } from '@holdfast/identity'
import { locateState } from '@holdfast/identity/state'
import { openSqliteStore } from '@holdfast/pairing-store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { attempt } from './raw-client.ts'
import { until } from './test-gate.ts'

let directory: string
const running: RunningGateway[] = []

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'holdfast-audit-head-')), 'state')
})
afterEach(async () => {
  for (const gateway of running.splice(0)) await gateway.close()
  await rm(join(directory, '..'), { recursive: true, force: true })
})

async function start(options: Partial<Parameters<typeof startGateway>[0]> = {}): Promise<RunningGateway> {
  const gateway = await startGateway({
    directory,
    trustedLocal: { ceiling: ['operator.read'] },
    ...options,
  })
  running.push(gateway)
  return gateway
}

const BY = { by: { kind: 'store-writer' } } as const
const token = () => readFileSync(join(directory, 'gateway-token', 'token'), 'utf8')
const storePath = () => join(directory, 'store.sqlite')
const headPath = () => join(directory, 'audit-head', 'head.json')

/** A gateway that ran, let a device in and revoked it; with a backup of the store from before the revocation. */
async function revokedSinceTheBackup() {
  const identity = createEphemeralIdentity()
  const first = await start()
  expect((await attempt(first.url, { identity, token: token() })).hello).not.toBeNull()
  await first.close()
  cpSync(storePath(), `${storePath()}.backup`)
  const second = await start()
  await second.store.revokeDevice(identity.id, BY)
  await second.close()
  return { identity }
}

describe('the head of the audit log', () => {
  test('is kept outside of the store as it grows, whichever process makes it grow', async () => {
    const gateway = await start()
    const location = locateState({ directory })
    const isKept = async () => {
      const head = await gateway.store.findAuditHead()
      return head.sequence > 2 && (await readAuditHead(location))?.hash === head.hash
    }
    await attempt(gateway.url, { identity: createEphemeralIdentity(), token: token() })
    await until(isKept)
    const other = await openSqliteStore({ path: storePath() })
    const [device] = (await other.listDevices()).items
    if (device === undefined) throw new Error('no device')
    const before = await other.findAuditHead()
    await other.revokeDevice(device.deviceId, BY)
    await other.close()
    expect((await gateway.store.findAuditHead()).sequence).toBeGreaterThan(before.sequence)
    await until(isKept)
    await gateway.close()
    const store = await openSqliteStore({ path: storePath() })
    const expectedHead = await readAuditHead(location)
    if (expectedHead === null) throw new Error('no head')
    expect(await store.verifyAudit({ expectedHead })).toMatchObject({ outcome: 'intact', head: expectedHead })
    await store.close()
  })

  test('a restored backup, in which the revoked is trusted again, is refused, and nobody is let in', async () => {
    await revokedSinceTheBackup()
    cpSync(`${storePath()}.backup`, storePath())
    const before = readFileSync(storePath())
    await expect(start()).rejects.toMatchObject({
      code: 'STORE_ROLLED_BACK',
      detail: { path: storePath(), reason: 'behind' },
    })
    expect(readFileSync(storePath()).equals(before)).toBe(true)
    await expect(start()).rejects.toMatchObject({ code: 'STORE_ROLLED_BACK' })
  })

  test('control: without what was kept, the revoked is back', async () => {
    const { identity } = await revokedSinceTheBackup()
    cpSync(`${storePath()}.backup`, storePath())
    rmSync(headPath())
    const gateway = await start()
    expect((await attempt(gateway.url, { identity, token: token() })).hello).not.toBeNull()
  })

  test('another store in its place is refused, one that went on elsewhere too; one at another path is not', async () => {
    await revokedSinceTheBackup()
    const kept = readFileSync(headPath())
    for (const name of [storePath(), `${storePath()}-wal`, `${storePath()}-shm`])
      rmSync(name, { force: true })
    await expect(start()).rejects.toMatchObject({ detail: { reason: 'another-store' } })
    cpSync(`${storePath()}.backup`, storePath())
    const store = await openSqliteStore({ path: storePath() })
    const [device] = (await store.listDevices()).items
    if (device === undefined) throw new Error('no device')
    for (let round = 0; round < 5; round += 1)
      await store.renameDevice(device.deviceId, { ...BY, name: `n${round}` })
    await store.close()
    await expect(start()).rejects.toMatchObject({ detail: { reason: 'another-history' } })
    expect(readFileSync(headPath()).equals(kept)).toBe(true)
    await start({ store: join(directory, 'elsewhere', 'store.sqlite') })
  })

  test('a head that cannot be read is not taken for none', async () => {
    await (await start()).close()
    for (const text of ['', '{}', '[]', 'null', '{"format":"holdfast-audit-head","version":1}']) {
      writeFileSync(headPath(), text)
      await expect(start()).rejects.toMatchObject({
        code: 'AUDIT_HEAD_DAMAGED',
        detail: { path: headPath() },
      })
    }
  })

  test('a log that is cut off under the running gateway is reported, and what was kept stays', async () => {
    const gateway = await start()
    const events: GateEvent[] = []
    gateway.onEvent(event => events.push(event))
    await attempt(gateway.url, { identity: createEphemeralIdentity(), token: token() })
    const location = locateState({ directory })
    await until(async () => ((await readAuditHead(location))?.sequence ?? 0) >= 3)
    const { DatabaseSync } = await import('node:sqlite')
    const database = new DatabaseSync(storePath())
    database.exec(`DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE sequence = 3;
      UPDATE store SET audit_sequence = 2, audit_hash = (SELECT hash FROM audit WHERE sequence = 2)`)
    database.close()
    const kept = await readAuditHead(location)
    await gateway.store.putSettings({ roles: (await gateway.store.getSettings()).roles, ceiling: [] })
    const isFault = (event: GateEvent) =>
      event.event === 'fault' && (event.error as { code?: string }).code === 'STORE_ROLLED_BACK'
    await until(() => events.some(isFault))
    expect(await readAuditHead(location)).toEqual(kept)
  })
})
