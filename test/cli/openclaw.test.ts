import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { locateState } from '@holdfast/identity/state'
import { describe, expect, test } from 'vitest'
import { createPlainKey, type PlainKey, pemsOf } from '../openclaw/plain-client.ts'
import { holdfast, holdfastHere, holdfastJson, startGatewayProcess, temporaryFolder } from './holdfast.ts'

const FULL = [
  'operator.admin',
  'operator.read',
  'operator.write',
  'operator.approvals',
  'operator.pairing',
  'operator.talk.secrets',
]

interface Trap {
  readonly trap: string
  readonly help: string
  readonly command: string | null
}

interface Report {
  readonly kind: string
  readonly deviceId: string | null
  readonly paired: number
  readonly pending: number
  readonly traps: readonly Trap[]
}

/** An OpenClaw state directory as its releases leave it, and an install of ours beside it. */
class Fabricated {
  readonly openclaw = temporaryFolder()
  readonly install = join(temporaryFolder(), 'state')

  write(name: string, content: unknown): void {
    const path = join(this.openclaw, name)
    mkdirSync(join(path, '..'), { recursive: true })
    const text = typeof content === 'string' ? content : `${JSON.stringify(content, null, 2)}\n`
    writeFileSync(path, text, { mode: 0o600 })
  }

  key(key: PlainKey): void {
    this.write('identity/device.json', { version: 1, deviceId: key.deviceId, ...pemsOf(key), createdAtMs: 1 })
  }

  /** 2026.9: its tables, as far as they matter. */
  database(fill: (database: DatabaseSync) => void): void {
    mkdirSync(join(this.openclaw, 'state'))
    const database = new DatabaseSync(join(this.openclaw, 'state', 'openclaw.sqlite'))
    database.exec(TABLES)
    fill(database)
    database.close()
  }

  /** What the doctor says, and that nothing changed by it. */
  async examine(): Promise<{ report: Report; exitCode: number | null; stdout: string }> {
    const before = contentsOf(this.openclaw)
    const words = ['openclaw', 'doctor', '--openclaw-dir', this.openclaw, '--state-dir', this.install]
    const [outcome, lines] = await Promise.all([holdfastHere([...words, '--json']), holdfastHere(words)])
    expect(contentsOf(this.openclaw)).toEqual(before)
    expect(lines.exitCode).toBe(outcome.exitCode)
    return { report: outcome.answer as Report, exitCode: outcome.exitCode, stdout: lines.stdout }
  }

  async traps(): Promise<readonly Trap[]> {
    const { report, exitCode, stdout } = await this.examine()
    expect(exitCode).toBe(1)
    for (const { trap, help, command } of report.traps) {
      expect(stdout).toContain(`${trap}: `)
      expect(stdout).toContain(help)
      expect(stdout).toContain(command ?? '')
    }
    return report.traps
  }
}

const TABLES = `
  create table device_identities (identity_key text primary key, device_id text, public_key_pem text,
    private_key_pem text, created_at_ms integer, updated_at_ms integer);
  create table device_pairing_paired (device_id text primary key, public_key text, display_name text, platform text,
    client_id text, client_mode text, role text, roles_json text, scopes_json text, approved_scopes_json text,
    tokens_json text, created_at_ms integer, approved_at_ms integer);
  create table device_pairing_pending (request_id text primary key, device_id text, public_key text, role text,
    scopes_json text, silent integer, is_repair integer, ts integer);
  create table device_auth_tokens (device_id text, role text, token text, scopes_json text, updated_at_ms integer,
    primary key (device_id, role));`

function contentsOf(folder: string): Readonly<Record<string, string>> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  return Object.fromEntries(
    names.map(name => {
      const path = join(folder, name)
      return [name, statSync(path).isFile() ? readFileSync(path, 'base64') : '']
    }),
  )
}

function record(deviceId: string, changes: Readonly<Record<string, unknown>> = {}) {
  const token = { token: 'the-device-token', role: 'operator', scopes: FULL }
  return {
    deviceId,
    platform: process.platform,
    clientId: 'cli',
    clientMode: 'cli',
    role: 'operator',
    scopes: FULL,
    approvedScopes: FULL,
    tokens: { operator: token },
    ...changes,
  }
}

const kept = (deviceId: string, token: string) => ({
  version: 1,
  deviceId,
  tokens: { operator: { token, role: 'operator', scopes: FULL } },
})

describe('holdfast openclaw doctor, on the files of 2026.2 to 2026.8', () => {
  test('finds nothing wrong with an install that is well, and nothing at all where none is', async () => {
    const place = new Fabricated()
    const nothing = await place.examine()
    expect(nothing).toMatchObject({ exitCode: 0, report: { kind: 'none', traps: [], deviceId: null } })
    const key = createPlainKey()
    place.key(key)
    place.write('devices/paired.json', { [key.deviceId]: record(key.deviceId) })
    place.write('devices/pending.json', {})
    place.write('identity/device-auth.json', kept(key.deviceId, 'the-device-token'))
    const { report, exitCode, stdout } = await place.examine()
    expect(report).toMatchObject({ kind: 'files', deviceId: key.deviceId, paired: 1, pending: 0, traps: [] })
    expect(exitCode).toBe(0)
    expect(stdout).toContain('Nothing is wrong.')
    expect(stdout).not.toContain('the-device-token')
  })

  test("stuck scopes: of its own device, and of this install's; not of strangers", async () => {
    const place = new Fabricated()
    const key = createPlainKey()
    const { deviceId } = await holdfastJson<{ deviceId: string }>(place.install, 'id')
    const reads = { scopes: ['operator.read'], approvedScopes: ['operator.read'] }
    place.key(key)
    place.write('devices/paired.json', {
      [key.deviceId]: record(key.deviceId, reads),
      [deviceId]: record(deviceId, reads),
      ['f'.repeat(64)]: record('f'.repeat(64), reads),
    })
    const traps = await place.traps()
    const asked = ['operator.admin', 'operator.approvals', 'operator.pairing']
    expect(traps).toMatchObject([
      { trap: 'scopes-stuck', deviceId: key.deviceId, missing: asked, requestId: null },
      { trap: 'scopes-stuck', deviceId, missing: FULL.filter(scope => scope !== 'operator.read') },
    ])
    // What the command line of 2026.2 asks for is all that it needs; an install of ours needs more.
    place.write('devices/paired.json', {
      [key.deviceId]: record(key.deviceId, { scopes: asked, approvedScopes: asked }),
      [deviceId]: record(deviceId, { scopes: asked, approvedScopes: asked }),
    })
    place.write('openclaw.json', { gateway: { port: 19_001 } })
    const [ours, ...others] = await place.traps()
    expect(ours).toMatchObject({ trap: 'scopes-stuck', deviceId })
    expect(others).toEqual([])
    expect(ours?.command).toContain('holdfast openclaw enroll ws://127.0.0.1:19001 --state-dir')
    expect(traps[1]?.command).toContain('holdfast openclaw enroll ws://127.0.0.1:18789 --state-dir')
    expect(traps[0]?.command).toBe('openclaw gateway call health')
  })

  test('a poisoned request, and no silent one', async () => {
    const place = new Fabricated()
    const key = createPlainKey()
    place.key(key)
    place.write('devices/paired.json', { [key.deviceId]: record(key.deviceId) })
    const request = { deviceId: key.deviceId, role: 'operator', scopes: FULL, ts: 1 }
    place.write('devices/pending.json', {
      'request-1': { ...request, requestId: 'request-1', silent: false },
      'request-2': { ...request, requestId: 'request-2', silent: true },
    })
    const traps = await place.traps()
    expect(traps).toMatchObject([{ trap: 'request-poisoned', requestId: 'request-1' }])
    expect(traps[0]?.command).toBe('openclaw devices reject request-1')
  })

  test('what a device wrote into its request never reaches the terminal, or a command', async () => {
    const place = new Fabricated()
    const hostile = 'a\u001b[2J; rm -rf .'
    const request = { deviceId: 'b\u001b[2J', role: 'operator', scopes: FULL, silent: false }
    place.write('devices/pending.json', { [hostile]: request })
    const { stdout, report } = await place.examine()
    expect(stdout).not.toContain('\u001b')
    expect(JSON.stringify(report.traps[0]?.command)).not.toContain('rm -rf')
    expect(report.traps[0]?.help).not.toContain('rm -rf')
  })

  test('a regenerated key, told apart from the first start of another program', async () => {
    const place = new Fabricated()
    const [before, after] = [createPlainKey(), createPlainKey()]
    place.key(after)
    place.write('devices/paired.json', { [before.deviceId]: record(before.deviceId) })
    expect(await place.traps()).toMatchObject([
      { trap: 'key-regenerated', deviceId: after.deviceId, known: [before.deviceId], paired: false },
    ])
    // By now it was let in, as a device of its own: the former one still is.
    const [older, newer] = [{ createdAtMs: 0 }, { createdAtMs: 2 }]
    const both = (changes: Readonly<Record<string, unknown>>) => ({
      [before.deviceId]: record(before.deviceId, changes),
      [after.deviceId]: record(after.deviceId, newer),
    })
    place.write('devices/paired.json', both(older))
    const [taken] = await place.traps()
    expect(taken).toMatchObject({ trap: 'key-regenerated', known: [before.deviceId], paired: true })
    expect(taken?.command).toBe(`openclaw devices remove ${before.deviceId}`)
    for (const other of [{ createdAtMs: 3 }, { ...older, displayName: 'another program' }]) {
      place.write('devices/paired.json', both(other))
      expect((await place.examine()).report.traps).toEqual([])
    }
    const ours = record(before.deviceId, { displayName: 'holdfast 01234567' })
    place.write('devices/paired.json', { [before.deviceId]: ours })
    expect((await place.examine()).report.traps).toEqual([])
  })

  test.each([
    ['empty', ''],
    ['cut off', '{"version":1,'],
    ['of a later version', '{"version":2}'],
  ])('a key file that is %s, which it would make anew', async (_, text) => {
    const place = new Fabricated()
    place.write('identity/device.json', text)
    expect(await place.traps()).toMatchObject([{ trap: 'key-unusable', code: 'OPENCLAW_KEY_DAMAGED' }])
  })

  test.each([
    ['empty', ''],
    ['cut off', '{"a":'],
    ['with a byte order mark', '\uFEFF{}'],
    ['a list', '[]'],
    ['null', 'null'],
  ])('books that are %s, which the next approval overwrites', async (_, text) => {
    const place = new Fabricated()
    place.write('devices/paired.json', text)
    expect(await place.traps()).toMatchObject([
      { trap: 'books-damaged', path: join(place.openclaw, 'devices', 'paired.json') },
    ])
  })

  test('token drift: another one, or one that was revoked', async () => {
    const place = new Fabricated()
    const key = createPlainKey()
    place.key(key)
    place.write('devices/paired.json', { [key.deviceId]: record(key.deviceId) })
    place.write('identity/device-auth.json', kept(key.deviceId, 'an-older-token'))
    expect(await place.traps()).toMatchObject([{ trap: 'token-drift', deviceId: key.deviceId }])
    const revoked = { operator: { token: 'an-older-token', revokedAtMs: 1 } }
    place.write('devices/paired.json', { [key.deviceId]: record(key.deviceId, { tokens: revoked }) })
    const traps = await place.traps()
    expect(traps).toMatchObject([{ trap: 'token-drift' }])
    expect(JSON.stringify(traps)).not.toContain('an-older-token')
  })
})

describe('holdfast openclaw doctor, on the database of 2026.9', () => {
  const identity = (database: DatabaseSync, key: PlainKey): void => {
    const { publicKeyPem, privateKeyPem } = pemsOf(key)
    database
      .prepare('insert into device_identities values (?, ?, ?, ?, 1, 1)')
      .run('primary', key.deviceId, publicKeyPem, privateKeyPem)
  }
  const pair = (database: DatabaseSync, deviceId: string, token = 'the-device-token'): void => {
    const tokens = JSON.stringify({ operator: { token, role: 'operator', scopes: FULL } })
    const [scopes, role] = [JSON.stringify(FULL), 'operator']
    const insert =
      database.prepare(`insert into device_pairing_paired (device_id, client_id, client_mode, platform, role,
      scopes_json, approved_scopes_json, tokens_json) values (?, 'cli', 'cli', ?, ?, ?, ?, ?)`)
    insert.run(deviceId, process.platform, role, scopes, scopes, tokens)
  }

  test('finds nothing wrong with one that is well, though its command line shows no device', async () => {
    const place = new Fabricated()
    const key = createPlainKey()
    place.database(database => {
      identity(database, key)
      pair(database, 'e'.repeat(64))
    })
    const { report, exitCode } = await place.examine()
    expect(report).toMatchObject({ kind: 'database', deviceId: key.deviceId, paired: 1, traps: [] })
    expect(exitCode).toBe(0)
  })

  test('two identities: a key file beside a database with another key', async () => {
    const place = new Fabricated()
    const [inFile, inDatabase] = [createPlainKey(), createPlainKey()]
    place.key(inFile)
    place.database(database => identity(database, inDatabase))
    const traps = await place.traps()
    expect(traps).toMatchObject([
      { trap: 'two-identities', inFile: inFile.deviceId, inDatabase: inDatabase.deviceId },
    ])
    expect(traps[0]?.command).toMatch(/^mv /)
    place.key(inDatabase)
    expect((await place.examine()).report.traps).toEqual([])
  })

  test.each([
    [1_400, []],
    [1_401, [{ trap: 'too-many-devices', count: 1_401, limit: 1_400 }]],
  ])('%i devices', async (count, traps) => {
    const place = new Fabricated()
    place.database(database => {
      database.exec('begin')
      for (let n = 0; n < count; n++) pair(database, n.toString(16).padStart(64, '0'))
      database.exec('commit')
    })
    const { report } = await place.examine()
    expect(report.paired).toBe(count)
    expect(report.traps).toMatchObject(traps)
    expect(report.traps).toHaveLength(traps.length)
  })

  test('a poisoned request and a drifted token, beside the gateway that has it open', async () => {
    const place = new Fabricated()
    const deviceId = 'd'.repeat(64)
    mkdirSync(join(place.openclaw, 'state'))
    const owner = new DatabaseSync(join(place.openclaw, 'state', 'openclaw.sqlite'))
    owner.exec(`pragma journal_mode = wal; ${TABLES}`)
    pair(owner, deviceId)
    owner
      .prepare('insert into device_pairing_pending values (?, ?, null, ?, ?, 0, 0, 1)')
      .run('request-1', deviceId, 'operator', '[]')
    owner
      .prepare('insert into device_auth_tokens values (?, ?, ?, ?, 1)')
      .run(deviceId, 'operator', 'old', '[]')
    const words = ['openclaw', 'doctor', '--openclaw-dir', place.openclaw, '--state-dir', place.install]
    const { answer, exitCode } = await holdfastHere([...words, '--json'])
    owner.close()
    expect(exitCode).toBe(1)
    expect(answer).toMatchObject({
      traps: [
        { trap: 'request-poisoned', requestId: 'request-1', deviceId },
        { trap: 'token-drift', deviceId },
      ],
    })
  })
})

describe('holdfast openclaw import', () => {
  test('becomes the device that OpenClaw is, once, and says where there is none', async () => {
    const place = new Fabricated()
    const words = ['openclaw', 'import', '--openclaw-dir', place.openclaw]
    expect(await holdfastHere([...words, '--state-dir', place.install, '--json'])).toMatchObject({
      exitCode: 1,
      answer: { imported: null },
    })
    const key = createPlainKey()
    place.key(key)
    for (const outcome of ['adopted', 'present']) {
      expect(await holdfastJson(place.install, ...words)).toMatchObject({
        imported: {
          outcome,
          deviceId: key.deviceId,
          path: locateState({ directory: place.install }).deviceKey,
        },
      })
    }
    place.write('identity/device.json', '')
    const damaged = await holdfastHere([...words, '--state-dir', place.install, '--json'])
    expect(damaged).toMatchObject({ exitCode: 1, answer: { error: { code: 'OPENCLAW_KEY_DAMAGED' } } })
  })
})

describe('holdfast openclaw enroll', () => {
  const enroll = (url: string, install: string, input: string) =>
    holdfast(['openclaw', 'enroll', url, '--state-dir', install, '--json'], { input })

  test('takes the token from standard input, and is let in with everything', async () => {
    const [gate, install] = [temporaryFolder(), join(temporaryFolder(), 'state')]
    const { url } = await startGatewayProcess(gate, '--ceiling', 'operator.admin')
    const token = readFileSync(join(gate, 'gateway-token', 'token'), 'utf8')
    const { answer, exitCode, stdout, stderr } = await enroll(url, install, `${token}\n`)
    expect({ answer, exitCode, stderr }).toMatchObject({
      exitCode: 0,
      answer: { outcome: 'enrolled', proof: 'v3', did: [], url },
    })
    expect(stdout + stderr).not.toContain(token)
    const { deviceId } = await holdfastJson<{ deviceId: string }>(install, 'id')
    expect(answer).toMatchObject({ deviceId })
  })

  test('prints the command for a person where one has to say yes', async () => {
    const [gate, install] = [temporaryFolder(), join(temporaryFolder(), 'state')]
    const { url } = await startGatewayProcess(gate)
    const token = readFileSync(join(gate, 'gateway-token', 'token'), 'utf8')
    const { answer, exitCode } = await enroll(url, install, token)
    expect(exitCode).toBe(1)
    expect(answer).toMatchObject({
      outcome: 'approval-needed',
      command: expect.stringContaining('holdfast approve '),
    })
  })

  test('without a token, or with another address than a gateway has, is wrong usage, and makes no identity', async () => {
    const install = join(temporaryFolder(), 'state')
    for (const outcome of [
      await enroll('ws://127.0.0.1:1', install, ''),
      await enroll('http://127.0.0.1:1', install, 'a-token'),
    ]) {
      expect(outcome).toMatchObject({ exitCode: 2, answer: { error: { code: 'USAGE' } } })
    }
    expect(() => readdirSync(install)).toThrow()
  })
})
