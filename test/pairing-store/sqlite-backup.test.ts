import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { BUILT_IN_ROLES, gatewayTokenCommitment } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity, formatPublicKey } from '@holdfast/identity'
import {
  backupSqliteStore,
  openSqliteStore,
  type PairingStore,
  restoreSqliteStore,
  verifySqliteStore,
} from '@holdfast/pairing-store'
import { afterAll, describe, expect, test } from 'vitest'
import { attempt, CEILING, newToken, REMOTE } from './attempts.ts'
import { WRITER } from './contract/open-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-backup-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let places = 0
interface Place {
  readonly path: string
  readonly copy: string
  readonly store: PairingStore
  readonly token: string
}

async function place(): Promise<Place> {
  places += 1
  const folder = join(directory, `place-${places}`)
  mkdirSync(folder, { mode: 0o700 })
  const path = join(folder, 'store.sqlite')
  const store = await openSqliteStore({ path })
  const token = newToken()
  await store.putGatewayToken(token)
  await store.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
  return { path, copy: join(folder, 'copy.sqlite'), store, token }
}

type Five = readonly [DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity, DeviceIdentity]

function identities(): Five {
  const make = createEphemeralIdentity
  return [make(), make(), make(), make(), make()]
}

/** Devices in one transaction, so that the file has pages enough to be copied in several steps. */
function crowd(path: string, count: number): void {
  const database = new DatabaseSync(path)
  const add = database.prepare(
    "INSERT INTO device (device_id, public_key, name, standing, registered_by, created_at_ms) VALUES (?, ?, ?, 'approved', 'request', 0)",
  )
  database.exec('BEGIN')
  for (let index = 0; index < count; index += 1) {
    const { id, publicKey } = createEphemeralIdentity()
    add.run(id, formatPublicKey(publicKey), 'x'.repeat(40))
  }
  database.exec('COMMIT')
  database.close()
}

/** A device that a person approved, from another machine. */
async function approve(store: PairingStore, identity: DeviceIdentity, ...scopes: string[]): Promise<void> {
  const asked = await store.admit(attempt({ identity, scopes, origin: REMOTE }))
  if (asked.outcome !== 'refused' || asked.opened === null) throw new Error('nobody was asked')
  const { requestId, digest } = asked.opened
  await store.approveRequest(requestId, { ...WRITER, expectedDigest: digest })
}

async function admits(store: PairingStore, identity: DeviceIdentity, token?: string): Promise<string> {
  const wished = { identity, ...(token !== undefined && { token }) }
  const answer = await store.admit(attempt({ ...wished, ...(token === undefined && { origin: REMOTE }) }))
  return answer.outcome === 'admitted' ? 'admitted' : answer.refusal.code
}

async function reopened(path: string): Promise<PairingStore> {
  return openSqliteStore({ path })
}

describe('a backup', () => {
  test('is whole and of one moment, though others write all the while', async () => {
    const { path, copy, store, token } = await place()
    crowd(path, 6_000)
    const steps: number[] = []
    const writing: Promise<unknown>[] = []
    const backup = await backupSqliteStore({
      path,
      to: copy,
      onProgress: remaining => {
        steps.push(remaining)
        writing.push(store.admit(attempt({ token })))
      },
    })
    await Promise.all(writing)
    await store.close()
    // Had a commit of somebody else begun the copy anew, what remains would have grown.
    expect(steps).toEqual([...steps].sort((one, other) => other - one))
    expect(writing.length).toBeGreaterThan(1)
    expect(backup).toMatchObject({ path: copy, devices: 6_000, withoutSecrets: false, head: { sequence: 2 } })
    expect(await verifySqliteStore({ path: copy })).toMatchObject({ outcome: 'intact', devices: 6_000 })
    const devices = 6_000 + writing.length
    expect(await verifySqliteStore({ path })).toMatchObject({ outcome: 'intact', devices })
  })

  test('is a single file that nobody else can read, and nothing is left beside it', async () => {
    const { path, copy, store } = await place()
    const former = process.umask(0)
    try {
      await backupSqliteStore({ path, to: copy })
    } finally {
      process.umask(former)
    }
    await store.close()
    expect(statSync(copy).mode & 0o777).toBe(0o600)
    await verifySqliteStore({ path: copy })
    expect(readdirSync(dirname(copy)).sort()).toEqual(['copy.sqlite', 'store.sqlite'])
  })

  test('is never written over anything', async () => {
    const { path, copy, store } = await place()
    writeFileSync(copy, 'somebody else’s')
    await expect(backupSqliteStore({ path, to: copy })).rejects.toMatchObject({
      code: 'STORE_COPY_EXISTS',
      detail: { path: copy },
    })
    await expect(backupSqliteStore({ path, to: path })).rejects.toMatchObject({ code: 'STORE_COPY_EXISTS' })
    expect(readFileSync(copy, 'utf8')).toBe('somebody else’s')
    expect(await store.listDevices()).toMatchObject({ items: [] })
    await store.close()
  })

  test('of a store that is not whole is none', async () => {
    const { path, copy, store } = await place()
    await store.close()
    const database = new DatabaseSync(path)
    database.exec('DROP TRIGGER audit_no_delete; DELETE FROM audit WHERE sequence = 1')
    database.close()
    await expect(backupSqliteStore({ path, to: copy })).rejects.toMatchObject({ code: 'STORE_COPY_BROKEN' })
    expect(readdirSync(dirname(copy))).not.toContain('copy.sqlite')
  })

  test('of nothing is none, and makes no store', async () => {
    const missing = join(directory, 'nowhere.sqlite')
    await expect(backupSqliteStore({ path: missing, to: `${missing}.copy` })).rejects.toMatchObject({
      code: 'STORE_UNREADABLE',
      detail: { path: missing, reason: 'missing' },
    })
    expect(readdirSync(directory).filter(name => name.includes('nowhere'))).toEqual([])
  })

  test('M5 without secrets it holds no hash and no commitment by which a guess could be tried', async () => {
    const { path, copy, store, token } = await place()
    const identity = createEphemeralIdentity()
    await store.admit(attempt({ identity, token, handsOutToken: true }))
    await store.createJoinCode({ ...WRITER, role: 'operator', scopes: ['operator.read'] })
    await store.revokeDevice(identity.id, WRITER)
    await store.reinstateDevice(identity.id, WRITER)
    await store.putGatewayToken(newToken())
    const other = createEphemeralIdentity()
    await store.admit(attempt({ identity: other, token }))
    await store.issueDeviceToken(identity.id, { ...WRITER, role: 'operator' })
    await store.close()
    const secrets = hashesIn(path)
    const full = `${copy}.full`
    await backupSqliteStore({ path, to: full })
    const { withoutSecrets, head } = await backupSqliteStore({ path, to: copy, withoutSecrets: true })
    expect(withoutSecrets).toBe(true)
    // Control: they stand in a copy with them, so that looking for bytes finds them.
    expect(secrets.filter(each => readFileSync(full).includes(each))).toEqual(secrets)
    expect(secrets.filter(each => readFileSync(copy).includes(each))).toEqual([])
    expect(secrets).toContain(gatewayTokenCommitment(token))
    expect(secrets.length).toBeGreaterThan(12)
    const verdict = await verifySqliteStore({ path: copy })
    expect(verdict).toMatchObject({ outcome: 'intact', withoutSecrets: true, devices: 1, head })
  })
})

/** Everything in a store that is a hash of a secret, or a hash over one: what somebody who guesses would compare with. */
function hashesIn(path: string): string[] {
  const database = new DatabaseSync(path, { readOnly: true })
  const columns = [
    ['device_token', 'current_hash'],
    ['join_code', 'code_hash'],
    ['token_generation', 'generation_id'],
    ['audit', 'hash'],
  ]
  const found = columns.flatMap(([table, column]) =>
    database
      .prepare(`SELECT ${column} AS hash FROM ${table}`)
      .all()
      .map(row => String(row['hash'])),
  )
  database.close()
  return found
}

describe('verifying', () => {
  async function broken(...statements: string[]) {
    const { path, store, token } = await place()
    for (let index = 0; index < 3; index += 1) await store.admit(attempt({ token }))
    await store.close()
    expect(await verifySqliteStore({ path })).toMatchObject({ outcome: 'intact' })
    const database = new DatabaseSync(path, { enableForeignKeyConstraints: false })
    for (const statement of statements) database.exec(statement)
    database.close()
    return verifySqliteStore({ path })
  }

  test('finds pages that are damaged', async () => {
    const { path, store } = await place()
    crowd(path, 500)
    await store.close()
    const bytes = readFileSync(path)
    bytes.fill(0xff, bytes.length - 4096 * 3, bytes.length - 4096 * 2)
    writeFileSync(path, bytes)
    const verdict = await verifySqliteStore({ path }).catch((error: unknown) => error)
    expect(verdict).toMatchObject(
      verdict instanceof Error
        ? { code: 'STORE_UNREADABLE', detail: { reason: 'damaged' } }
        : { outcome: 'broken', flaw: { part: 'file' } },
    )
  })

  test('finds rows of a device that is gone', async () => {
    expect(await broken('DELETE FROM device')).toMatchObject({
      outcome: 'broken',
      flaw: { part: 'references', tables: ['device_role'] },
    })
  })

  test('finds a trigger that somebody put there, and one that is gone', async () => {
    const gift =
      "CREATE TRIGGER gift AFTER INSERT ON device_role BEGIN UPDATE device_role SET grant_scopes = 'operator.admin'; END"
    expect(await broken(gift, 'DROP TRIGGER audit_no_delete')).toMatchObject({
      outcome: 'broken',
      flaw: {
        part: 'schema',
        missing: [expect.stringContaining('audit_no_delete')],
        foreign: [expect.stringContaining('gift')],
      },
    })
  })

  test('finds an audit log that is behind the head that was kept', async () => {
    const { path, store } = await place()
    const head = await store.findAuditHead()
    await store.close()
    expect(await verifySqliteStore({ path, expectedHead: head })).toMatchObject({ outcome: 'intact', head })
    const later = { ...head, sequence: head.sequence + 1 }
    expect(await verifySqliteStore({ path, expectedHead: later })).toMatchObject({
      outcome: 'broken',
      flaw: { part: 'audit', flaw: 'truncated' },
    })
  })

  test('of what is no store says what it is, and leaves it as it is', async () => {
    const path = join(directory, 'text.sqlite')
    writeFileSync(path, 'text '.repeat(100))
    await expect(verifySqliteStore({ path })).rejects.toMatchObject({ code: 'STORE_NOT_A_DATABASE' })
    expect(readFileSync(path, 'utf8')).toBe('text '.repeat(100))
  })
})

describe('restoring a copy, where the store as it is says what was revoked since', () => {
  test('C1 M18 whatever was revoked, narrowed or reinstated since stays as it is', async () => {
    const { path, copy, store, token } = await place()
    const [gone, narrowed, reinstated, roleless, local] = identities()
    for (const each of [gone, narrowed, reinstated, roleless])
      await approve(store, each, 'operator.read', 'operator.write')
    await store.admit(attempt({ identity: local, token }))
    await backupSqliteStore({ path, to: copy })
    await store.revokeDevice(gone.id, WRITER)
    await store.narrowDevice(narrowed.id, { ...WRITER, role: 'operator', scopes: [] })
    await store.revokeDevice(reinstated.id, WRITER)
    await store.reinstateDevice(reinstated.id, WRITER)
    await store.revokeDevice(roleless.id, { ...WRITER, role: 'operator' })
    await store.revokeDevice(local.id, WRITER)
    await store.close()
    const done = await restoreSqliteStore({ path, from: copy })
    expect(done).toMatchObject({ outcome: 'merged', restored: 0, kept: 5, removed: 0 })
    const again = await reopened(path)
    expect(await admits(again, gone)).toBe('device-revoked')
    expect(await admits(again, roleless)).toBe('device-revoked')
    expect(await admits(again, local, token)).toBe('device-revoked')
    expect(await admits(again, narrowed)).toBe('pairing-required')
    expect(await admits(again, reinstated)).toBe('pairing-required')
    // The token that registered the local one registers nobody.
    expect(await admits(again, createEphemeralIdentity(), token)).toBe('pairing-required')
    await again.close()
  })

  test('control: the same copy put there by hand brings every one of them back', async () => {
    const { path, copy, store } = await place()
    const gone = createEphemeralIdentity()
    await approve(store, gone, 'operator.read')
    await backupSqliteStore({ path, to: copy })
    await store.revokeDevice(gone.id, WRITER)
    await store.close()
    cpSync(copy, path)
    chmodSync(path, 0o600)
    const again = await reopened(path)
    expect(await admits(again, gone)).toBe('admitted')
    await again.close()
  })

  test.each([false, true])(
    'what was given since is gone, and what was lost is back (without secrets: %s)',
    async withoutSecrets => {
      const { path, copy, store, token } = await place()
      const [kept, lost] = identities()
      for (const each of [kept, lost]) await approve(store, each, 'operator.read')
      await store.renameDevice(kept.id, { ...WRITER, name: 'mine' })
      await backupSqliteStore({ path, to: copy, withoutSecrets })
      const head = await store.findAuditHead()
      await approve(store, kept, 'operator.admin')
      await store.renameDevice(kept.id, { ...WRITER, name: 'other' })
      const newcomer = createEphemeralIdentity()
      await approve(store, newcomer, 'operator.admin')
      await store.createJoinCode({ ...WRITER, role: 'operator', scopes: ['operator.admin'] })
      await store.close()
      const database = new DatabaseSync(path)
      database.exec(
        `DELETE FROM device_role WHERE device_id = '${lost.id}'; DELETE FROM device WHERE device_id = '${lost.id}'`,
      )
      database.close()
      expect(await restoreSqliteStore({ path, from: copy, expectedHead: head })).toMatchObject({
        outcome: 'merged',
        restored: 2,
        kept: 0,
        removed: 1,
      })
      const again = await reopened(path)
      expect(await admits(again, lost)).toBe('admitted')
      expect(await admits(again, newcomer)).toBe('pairing-required')
      expect(await again.findDevice(kept.id)).toMatchObject({
        name: 'mine',
        roles: [{ grant: ['operator.read'] }],
      })
      expect(await again.listJoinCodes()).toEqual([])
      expect(await admits(again, createEphemeralIdentity(), token)).toBe('admitted')
      // The log goes on from what was seen of it, and says what was done.
      await again.requireAuditHead(head)
      expect(await again.verifyAudit()).toMatchObject({ outcome: 'intact' })
      const acts = (await again.listAudit({ order: 'newest', limit: 5 })).items.map(each => each.act)
      expect(acts).toEqual([
        'device-registered',
        'store-restored',
        'device-restored',
        'device-restored',
        'device-restored',
      ])
      await again.close()
    },
  )

  test('a device token that was rotated away or revoked since is not good again', async () => {
    const { path, copy, store, token } = await place()
    const identity = createEphemeralIdentity()
    await store.admit(attempt({ identity, token }))
    const role = 'operator'
    const issued = await store.issueDeviceToken(identity.id, { ...WRITER, role })
    if (issued.outcome !== 'issued') throw new Error('no token')
    await backupSqliteStore({ path, to: copy })
    await store.revokeDeviceToken(identity.id, { ...WRITER, role })
    await store.close()
    await restoreSqliteStore({ path, from: copy })
    const again = await reopened(path)
    const shown = attempt({ identity, deviceToken: issued.issued.token })
    expect(await again.admit(shown)).toMatchObject({ refusal: { code: 'device-token-mismatch' } })
    await again.close()
  })

  test('the store as it was is kept beside it, and what listens is told', async () => {
    const { path, copy, store } = await place()
    const identity = createEphemeralIdentity()
    await backupSqliteStore({ path, to: copy })
    await approve(store, identity, 'operator.read')
    const before = await store.findAuditHead()
    const { setAside } = await restoreSqliteStore({ path, from: copy })
    expect(await verifySqliteStore({ path: String(setAside) })).toMatchObject({ head: before, devices: 1 })
    expect(await admits(store, identity)).toBe('pairing-required')
    await store.close()
  })
})

describe('restoring a copy, where nothing says what was revoked since', () => {
  async function lost(spoil: (path: string) => void) {
    const { path, copy, store, token } = await place()
    const [gone, local, early] = identities()
    await approve(store, gone, 'operator.read')
    await store.admit(attempt({ identity: local, token }))
    await approve(store, early, 'operator.read')
    await store.revokeDevice(early.id, { ...WRITER, role: 'operator' })
    await backupSqliteStore({ path, to: copy })
    await store.revokeDevice(gone.id, WRITER)
    const head = await store.findAuditHead()
    await store.close()
    spoil(path)
    return { path, copy, token, gone, local, early, head }
  }

  const spoilt = [
    ['missing', (path: string) => rmSync(path)],
    ['unreadable', (path: string) => writeFileSync(path, 'no database at all '.repeat(20))],
    ['unreadable', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, 4096 * 2))],
    ['audit-broken', (path: string) => tamper(path, 'DELETE FROM audit WHERE sequence = 4')],
    ['unaudited', (path: string) => tamper(path, 'UPDATE store SET unaudited = 1')],
  ] as const

  function tamper(path: string, statement: string): void {
    const database = new DatabaseSync(path)
    const [trigger] = database.prepare("SELECT sql FROM sqlite_schema WHERE name = 'audit_no_delete'").all()
    database.exec(`DROP TRIGGER audit_no_delete; ${statement}; ${trigger?.['sql']}`)
    database.close()
  }

  test.each(spoilt)(
    'C1 H22 a new token is demanded, and everybody is held back under it: %s',
    async (reason, spoil) => {
      const { path, copy, token, gone, local, early } = await lost(spoil)
      const bytes = () =>
        readdirSync(dirname(path)).map(name => [name, readFileSync(join(dirname(path), name)).length])
      const before = bytes()
      await expect(restoreSqliteStore({ path, from: copy })).rejects.toMatchObject({
        code: 'STORE_TOKEN_DEMANDED',
        detail: { path, reason },
      })
      expect(bytes().filter(([name]) => !/-(wal|shm)$/.test(String(name)))).toEqual(before)
      const fresh = newToken()
      const done = await restoreSqliteStore({ path, from: copy, newGatewayToken: fresh })
      expect(done).toMatchObject({ outcome: 'placed', reason, held: 3 })
      const again = await reopened(path)
      expect(await again.findAuditHead()).toEqual(done.head)
      expect(await admits(again, gone)).toBe('device-revoked')
      expect(await admits(again, local, token)).toBe('device-revoked')
      expect(await admits(again, local, fresh)).toBe('device-revoked')
      // The token as it was registers nobody, whatever a gateway says of it; the new one does.
      expect(await admits(again, createEphemeralIdentity(), token)).toBe('pairing-required')
      expect(await admits(again, createEphemeralIdentity(), fresh)).toBe('admitted')
      // A person lets back in, with what it had; and what was revoked before the copy was made stays so.
      await again.reinstateDevice(local.id, WRITER)
      expect(await admits(again, local, fresh)).toBe('admitted')
      await again.reinstateDevice(gone.id, WRITER)
      expect(await admits(again, gone)).toBe('admitted')
      await again.reinstateDevice(early.id, WRITER)
      expect(await admits(again, early)).toBe('device-revoked')
      expect(await verifySqliteStore({ path })).toMatchObject({ outcome: 'intact' })
      await again.close()
    },
  )

  test('a device that is held back and then revoked loses what it would have come back with', async () => {
    const { path, copy, gone } = await lost(rmSync)
    await restoreSqliteStore({ path, from: copy, newGatewayToken: newToken() })
    const again = await reopened(path)
    expect(await again.revokeDevice(gone.id, WRITER)).toMatchObject({ outcome: 'changed' })
    await again.reinstateDevice(gone.id, WRITER)
    expect(await admits(again, gone)).toBe('pairing-required')
    await again.close()
  })

  test('a store that is behind the head that was kept, or older than the copy, does not say', async () => {
    const { path, copy, head } = await lost(() => undefined)
    const later = { ...head, sequence: head.sequence + 1 }
    await expect(restoreSqliteStore({ path, from: copy, expectedHead: later })).rejects.toMatchObject({
      code: 'STORE_TOKEN_DEMANDED',
      detail: { reason: 'behind' },
    })
    const older = join(dirname(path), 'older.sqlite')
    await backupSqliteStore({ path, to: older })
    const store = await reopened(path)
    await store.putGatewayToken(newToken())
    await backupSqliteStore({ path, to: `${older}.2` })
    await store.close()
    rmSync(path)
    cpSync(older, path)
    await expect(restoreSqliteStore({ path, from: `${older}.2` })).rejects.toMatchObject({
      code: 'STORE_TOKEN_DEMANDED',
      detail: { reason: 'behind' },
    })
  })

  test('the copy of another store does not say', async () => {
    const [one, other] = [await place(), await place()]
    await backupSqliteStore({ path: other.path, to: one.copy })
    for (const each of [one, other]) await each.store.close()
    await expect(restoreSqliteStore({ path: one.path, from: one.copy })).rejects.toMatchObject({
      code: 'STORE_TOKEN_DEMANDED',
      detail: { reason: 'another-store' },
    })
  })

  test('a token of the store is not a new one', async () => {
    const { path, copy, token } = await lost(rmSync)
    await expect(restoreSqliteStore({ path, from: copy, newGatewayToken: token })).rejects.toThrow(TypeError)
    expect(readdirSync(dirname(path))).not.toContain('store.sqlite')
  })

  test('a log that a lost store left behind is not played back into the copy', async () => {
    const { path, copy, store, token } = await place()
    await backupSqliteStore({ path, to: copy })
    await store.admit(attempt({ token }))
    cpSync(`${path}-wal`, `${path}.log`)
    await store.close()
    rmSync(path)
    cpSync(`${path}.log`, `${path}-wal`)
    const done = await restoreSqliteStore({ path, from: copy, newGatewayToken: newToken() })
    expect(await verifySqliteStore({ path })).toMatchObject({
      outcome: 'intact',
      devices: 0,
      head: done.head,
    })
    expect(readdirSync(dirname(path))).toContain(`${basename(String(done.setAside))}-wal`)
  })

  test('a copy that is broken, or that others can write, is refused, and nothing is changed', async () => {
    const { path, copy, store } = await place()
    await backupSqliteStore({ path, to: copy })
    await store.close()
    chmodSync(copy, 0o644)
    await expect(restoreSqliteStore({ path, from: copy })).rejects.toMatchObject({ code: 'STORE_EXPOSED' })
    chmodSync(copy, 0o600)
    tamper(copy, 'DELETE FROM audit')
    await expect(restoreSqliteStore({ path, from: copy })).rejects.toMatchObject({
      code: 'STORE_COPY_BROKEN',
    })
    expect(
      readdirSync(dirname(path))
        .filter(name => !/-(wal|shm)$/.test(name))
        .sort(),
    ).toEqual(['copy.sqlite', 'store.sqlite'])
  })
})
