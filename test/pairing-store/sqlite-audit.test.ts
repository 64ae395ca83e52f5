import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createEphemeralIdentity } from '@holdfast/identity'
import { type AuditHead, openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { afterAll, describe, expect, test } from 'vitest'
import { attempt, newToken } from './attempts.ts'
import { WRITER } from './contract/open-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-audit-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let places = 0
function newPath(): string {
  places += 1
  const place = join(directory, `place-${places}`)
  mkdirSync(place, { mode: 0o700 })
  return join(place, 'store.sqlite')
}

/** A store with some history, closed, and where its log ended. */
async function someHistory(): Promise<{ readonly path: string; readonly head: AuditHead }> {
  const path = newPath()
  const store = await openSqliteStore({ path })
  const token = newToken()
  await store.putGatewayToken(token)
  for (let index = 0; index < 9; index += 1) await store.admit(attempt({ token }))
  const head = await store.findAuditHead()
  await store.close()
  return { path, head }
}

/** Somebody who may write the file does, past every guard of ours. */
function tamper(path: string, ...statements: readonly string[]): void {
  const database = new DatabaseSync(path)
  database.exec('DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete')
  for (const statement of statements) database.exec(statement)
  database.close()
}

async function verdict(path: string, expectedHead?: AuditHead) {
  const store = await openSqliteStore({ path })
  const answer = await store.verifyAudit(expectedHead === undefined ? {} : { expectedHead })
  await store.close()
  return answer
}

describe('an audit log that somebody was at', () => {
  const cases: readonly (readonly [string, readonly string[], object])[] = [
    [
      'an altered entry',
      [`UPDATE audit SET actor = 'store-writer' WHERE sequence = 4`],
      { sequence: 4, flaw: 'altered' },
    ],
    [
      'an entry moved in time',
      ['UPDATE audit SET at_ms = at_ms - 1 WHERE sequence = 10'],
      { sequence: 10, flaw: 'altered' },
    ],
    ['a dropped entry', ['DELETE FROM audit WHERE sequence = 5'], { sequence: 5, flaw: 'missing' }],
    [
      'a dropped entry whose number the next ones took',
      ['DELETE FROM audit WHERE sequence = 5', 'UPDATE audit SET sequence = sequence - 1 WHERE sequence > 5'],
      { sequence: 5, flaw: 'altered' },
    ],
    [
      'two entries that changed places',
      [
        'UPDATE audit SET sequence = 99 WHERE sequence = 3',
        'UPDATE audit SET sequence = 3 WHERE sequence = 4',
        'UPDATE audit SET sequence = 4 WHERE sequence = 99',
      ],
      { sequence: 3, flaw: 'altered' },
    ],
    ['a log that was cut off', ['DELETE FROM audit WHERE sequence > 7'], { sequence: 8, flaw: 'truncated' }],
    ['a log that was emptied', ['DELETE FROM audit'], { sequence: 1, flaw: 'truncated' }],
  ]
  test.each(cases)('finds %s', async (_what, statements, flaw) => {
    const { path } = await someHistory()
    expect(await verdict(path)).toMatchObject({ outcome: 'intact' })
    tamper(path, ...statements)
    expect(await verdict(path)).toEqual({ outcome: 'broken', ...flaw })
  })

  test('a log that was cut off to its last trace is found by the head that was kept elsewhere, and only by it', async () => {
    const { path, head } = await someHistory()
    tamper(
      path,
      'DELETE FROM audit WHERE sequence > 7',
      'UPDATE store SET audit_sequence = 7, audit_hash = (SELECT hash FROM audit WHERE sequence = 7)',
    )
    expect(await verdict(path)).toMatchObject({ outcome: 'intact' })
    expect(await verdict(path, head)).toEqual({ outcome: 'broken', sequence: 8, flaw: 'truncated' })
  })

  test('a backup that is put back is behind: what was revoked since would be back', async () => {
    const path = newPath()
    const store = await openSqliteStore({ path })
    const token = newToken()
    await store.putGatewayToken(token)
    const identity = createEphemeralIdentity()
    await store.admit(attempt({ identity, token }))
    await store.close()
    cpSync(path, `${path}.old`)
    const again = await openSqliteStore({ path })
    await again.revokeDevice(identity.id, WRITER)
    const head = await again.findAuditHead()
    await again.close()
    rmSync(path)
    cpSync(`${path}.old`, path)
    chmodSync(path, 0o600)
    const restored = await openSqliteStore({ path })
    expect(await restored.admit(attempt({ identity, token }))).toMatchObject({ outcome: 'admitted' })
    await expect(restored.requireAuditHead(head)).rejects.toMatchObject({
      code: 'STORE_ROLLED_BACK',
      detail: { path, reason: 'behind', expected: 4, found: 2 },
    })
    await restored.close()
  })

  test('the database itself refuses to change or drop an entry', async () => {
    const { path } = await someHistory()
    const database = new DatabaseSync(path)
    for (const statement of ['UPDATE audit SET at_ms = 0', 'DELETE FROM audit']) {
      expect(() => database.exec(statement)).toThrow()
    }
    database.close()
    expect(await verdict(path)).toMatchObject({ outcome: 'intact' })
  })
})

describe('an audit log that cannot be written', () => {
  async function withoutLog(audit: 'required' | 'when-possible') {
    const { path } = await someHistory()
    const database = new DatabaseSync(path)
    database.exec(`CREATE TRIGGER no_more BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END`)
    const store = await openSqliteStore({ path, audit })
    const [device] = (await store.listDevices({ limit: 1 })).items
    if (device === undefined) throw new Error('no device')
    return { path, store, device, database }
  }

  async function revoke(store: PairingStore, deviceId: Parameters<PairingStore['findDevice']>[0]) {
    await store.revokeDevice(deviceId, WRITER)
    return (await store.findDevice(deviceId))?.trust
  }

  test('refuses the change, and nothing of it is made', async () => {
    const { path, store, device, database } = await withoutLog('required')
    await expect(revoke(store, device.deviceId)).rejects.toMatchObject({
      code: 'STORE_AUDIT_FAILED',
      detail: { path },
    })
    expect(await store.findDevice(device.deviceId)).toEqual(device)
    database.exec('DROP TRIGGER no_more')
    database.close()
    expect(await revoke(store, device.deviceId)).toBe('revoked')
    expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact', unaudited: 0 })
    await store.close()
  })

  test('lets it through where the host says so, and counts it', async () => {
    const { store, device, database } = await withoutLog('when-possible')
    expect(await revoke(store, device.deviceId)).toBe('revoked')
    expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact', unaudited: 2 })
    database.exec('DROP TRIGGER no_more')
    database.close()
    await store.reinstateDevice(device.deviceId, WRITER)
    expect(await store.verifyAudit()).toMatchObject({
      outcome: 'intact',
      unaudited: 2,
      head: { sequence: 11 },
    })
    await store.close()
  })
})
