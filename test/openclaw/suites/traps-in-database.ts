import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { beforeAll, describe, expect, test } from 'vitest'
import { createPlainKey, pemsOf, plainAttempt, plainKeyOf } from '../plain-client.ts'
import { examine, type FoundTrap, follow } from '../real-doctor.ts'
import { runRealCommand } from '../real-gateway.ts'
import { jsonOf } from '../real-output.ts'
import { type Release, useDirectories } from '../release.ts'

/** With 1,490 its gateway writes no list of devices any more: more variables than SQLite takes in one statement. */
const TOO_MANY = 1_500

/** The traps of 2026.9, each sprung at the real thing, and the way out of it. They stop and start the gateway of the file. */
export function trapsInDatabase(release: Release): void {
  const newDirectory = useDirectories()
  let stateDirectory: string
  const wish = () => ({ url: release.gateway.url, token: release.home.gatewayToken })
  const attempt = (headers: Readonly<Record<string, string>> = {}) =>
    plainAttempt(plainKeyOf(stateDirectory), { ...wish(), scopes: ['operator.read'], headers })
  const database = () => join(release.home.stateDirectory, 'state', 'openclaw.sqlite')
  const found = async (...names: readonly string[]): Promise<readonly FoundTrap[]> => {
    const traps = await examine(release, stateDirectory)
    return traps.filter(({ trap }) => names.includes(trap))
  }

  describe('where no device is let in silently', () => {
    test('a person is asked, and the command that is told cures it', async () => {
      await release.startAgain('2026.9.6', {
        gateway: { nodes: { pairing: { autoApproveLocal: false } } },
      })
      const identity = await openIdentity({ directory: newDirectory() })
      const held = await enrollWithOpenClaw({ identity, ...wish() })
      expect(held).toMatchObject({ outcome: 'approval-needed', did: [] })
      const words = held.outcome === 'approval-needed' ? held.command.split(' ').slice(1) : []
      jsonOf(await runRealCommand('2026.9.6', release.home, [...words, '--json']))
      const enrolled = await enrollWithOpenClaw({ identity, ...wish() })
      expect(enrolled).toMatchObject({ outcome: 'enrolled', did: [{ act: 'rejected' }] })
      type Listed = { pending: { deviceId: string }[]; paired: { deviceId: string; displayName?: string }[] }
      const list = ['devices', 'list', '--json']
      const { pending, paired } = jsonOf(await runRealCommand('2026.9.6', release.home, list)) as Listed
      expect(pending).toEqual([])
      expect(paired.filter(({ deviceId }) => deviceId === identity.id)).toHaveLength(1)
      expect(paired.filter(({ displayName }) => displayName?.startsWith('holdfast helper'))).toEqual([])
    })
  })

  describe('what the doctor finds, and gives a command against', () => {
    beforeAll(async () => {
      stateDirectory = newDirectory()
      await openIdentity({ directory: stateDirectory })
    })

    test('a poisoned request', async () => {
      expect((await attempt({ Origin: `http://127.0.0.1:${release.gateway.port}` })).ok).toBe(false)
      const [poisoned] = await found('request-poisoned')
      expect(poisoned).toMatchObject({ deviceId: plainKeyOf(stateDirectory).deviceId })
      expect(await follow(release, poisoned)).toMatchObject({ exitCode: 0 })
      expect(await found('request-poisoned')).toEqual([])
    })

    test('more than 1,400 devices: with 1,500 nobody is let in, and then somebody is', async () => {
      await release.startAgain('2026.9.6')
      expect((await attempt()).ok).toBe(true)
      await release.stop()
      fill(database(), plainKeyOf(stateDirectory).deviceId)
      await release.startAgain('2026.9.6')
      expect(await attempt()).toMatchObject({ ok: false, closeCode: 1000 })
      const [tooMany] = await found('too-many-devices')
      expect(tooMany).toMatchObject({ count: TOO_MANY })
      await release.stop()
      const [, path, sql = ''] = /^sqlite3 (\S+) '(.*)'$/.exec(tooMany?.command ?? '') ?? []
      expect(path).toBe(database())
      const writer = new DatabaseSync(database())
      writer.exec(sql)
      writer.close()
      expect(await found('too-many-devices')).toEqual([])
    })

    test('two identities: the gateway does not start, and then does', async () => {
      const key = createPlainKey()
      const folder = join(release.home.stateDirectory, 'identity')
      mkdirSync(folder, { recursive: true })
      const fields = { version: 1, deviceId: key.deviceId, ...pemsOf(key), createdAtMs: 1 }
      writeFileSync(join(folder, 'device.json'), JSON.stringify(fields), { mode: 0o600 })
      const [two] = await found('two-identities')
      expect(two).toMatchObject({ inFile: key.deviceId })
      // It looks at the file again when its configuration has changed.
      const changed = { gateway: { nodes: { pairing: { autoApproveLocal: true } } } }
      await expect(release.startAgain('2026.9.6', changed)).rejects.toThrow('did not start')
      expect(await follow(release, two)).toMatchObject({ exitCode: 0 })
      expect(await found('two-identities')).toEqual([])
      await release.startAgain('2026.9.6', changed)
      expect((await attempt()).ok).toBe(true)
      expect(await found('two-identities', 'too-many-devices', 'request-poisoned')).toEqual([])
    })
  })
}

/** As many rows as are too many, each like the one of this device, and older. */
function fill(path: string, deviceId: string): void {
  const database = new DatabaseSync(path)
  const like = database.prepare('select * from device_pairing_paired where device_id = ?').get(deviceId)
  if (like === undefined) throw new Error('no row to copy')
  const columns = Object.keys(like)
  const insert = database.prepare(
    `insert into device_pairing_paired (${columns}) values (${columns.map(() => '?')})`,
  )
  const count = database.prepare('select count(*) as n from device_pairing_paired').get()?.['n']
  database.exec('begin')
  for (let n = Number(count); n < TOO_MANY; n++) {
    const publicKey = randomBytes(32)
    const changes: Readonly<Record<string, SQLInputValue>> = {
      device_id: createHash('sha256').update(publicKey).digest('hex'),
      public_key: publicKey.toString('base64url'),
      display_name: `stray ${n}`,
      last_seen_at_ms: n,
    }
    insert.run(...columns.map(column => changes[column] ?? like[column] ?? null))
  }
  database.exec('commit')
  database.close()
}
