import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { identityFrom, openIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { programPath, startProgram } from '../support/processes.ts'
import { holdfast, holdfastHere, holdfastJson, temporaryFolder } from './holdfast.ts'

const MAIN = new URL('../../packages/cli/src/main.ts', import.meta.url)

interface Shown {
  readonly deviceId: string
  readonly path: string
}

/** The same with a terminal, at which somebody answers. `script` comes with every Debian. */
function atTerminal(
  words: readonly string[],
  answer: string,
): { readonly exitCode: number | null; readonly shown: string } {
  const command = [process.execPath, '--conditions=source', programPath(MAIN), ...words].join(' ')
  const { status, stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
    input: answer,
    encoding: 'utf8',
  })
  return { exitCode: status, shown: stdout }
}
const hasTerminals = spawnSync('script', ['-qec', 'true', '/dev/null'], { stdio: 'ignore' }).status === 0

function files(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
}

describe('holdfast id reset', () => {
  test('sets the key aside and makes another, once somebody said so', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const { deviceId, path } = await holdfastJson<Shown>(stateDir, 'id')
    const former = readFileSync(path)
    const asked = await holdfastHere(['id', 'reset', '--state-dir', stateDir, '--json'])
    expect(asked).toMatchObject({ exitCode: 1, answer: { error: { code: 'CONFIRMATION_NEEDED' } } })
    expect(JSON.stringify(asked.answer)).toContain(`holdfast id reset --yes --state-dir ${stateDir}`)
    expect(readFileSync(path)).toEqual(former)

    const done = await holdfastJson<Record<string, string>>(stateDir, 'id', 'reset', '--yes')
    expect(done).toMatchObject({ formerDeviceId: deviceId })
    expect(done['deviceId']).not.toBe(deviceId)
    expect(readFileSync(join(done['setAside'] ?? '', 'key.json'))).toEqual(former)
    expect((await holdfastJson<Shown>(stateDir, 'id')).deviceId).toBe(done['deviceId'])
  })

  test.skipIf(!hasTerminals)(
    'asks whoever sits at the terminal: a no changes nothing, a yes does it',
    async () => {
      const stateDir = join(temporaryFolder(), 'state')
      const { deviceId, path } = await holdfastJson<Shown>(stateDir, 'id')
      const former = readFileSync(path)
      const refused = atTerminal(['id', 'reset', '--state-dir', stateDir], 'n\n')
      expect(refused.exitCode).toBe(1)
      expect(refused.shown).toContain(deviceId)
      expect(readFileSync(path)).toEqual(former)
      expect(atTerminal(['id', 'reset', '--state-dir', stateDir], 'y\n').exitCode).toBe(0)
      expect((await holdfastJson<Shown>(stateDir, 'id')).deviceId).not.toBe(deviceId)
    },
  )

  test('F04: gets an install with a damaged key going again, and keeps the damaged one', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const { path } = await holdfastJson<Shown>(stateDir, 'id')
    writeFileSync(path, 'half')
    const refused = await holdfastHere(['id', '--state-dir', stateDir])
    expect(refused.exitCode).toBe(1)
    const command = /holdfast (id reset .*)$/m.exec(refused.stderr)?.[1] ?? ''
    expect((await holdfastHere([...command.split(' '), '--yes'])).exitCode).toBe(0)
    expect((await holdfastHere(['id', '--state-dir', stateDir])).exitCode).toBe(0)
    const [aside] = readdirSync(stateDir).filter(name => name.startsWith('device.old-'))
    expect(readFileSync(join(stateDir, aside ?? '', 'key.json'), 'utf8')).toBe('half')
  })

  test('takes the state directory from before the word as well as from behind it', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const { deviceId } = await holdfastJson<Shown>(stateDir, 'id')
    const { answer } = await holdfastHere(['id', '--state-dir', stateDir, 'reset', '--yes', '--json'])
    expect(answer).toMatchObject({ formerDeviceId: deviceId })
  })
})

describe('holdfast id import and export', () => {
  test('F09 F19: one id through every form, and no export that others can read', async () => {
    const folder = temporaryFolder()
    const stateDir = join(folder, 'state')
    const { deviceId } = await holdfastJson<Shown>(stateDir, 'id')
    for (const format of ['pem', 'der', 'jwk', 'seed']) {
      const file = join(folder, `key.${format}`)
      await holdfastJson(stateDir, 'id', 'export', file, '--format', format)
      expect(statSync(file).mode & 0o777).toBe(0o600)
      const other = join(folder, `of-${format}`)
      const imported = await holdfastJson(other, 'id', 'import', file)
      expect(imported).toMatchObject({ deviceId, imported: true })
      expect(await holdfastJson(other, 'id', 'import', file)).toMatchObject({ deviceId, imported: false })
    }
  })

  test('F19: an OpenClaw device.json, from standard input, gives the device it gave there', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const text = JSON.stringify({
      version: 1,
      deviceId: 'whatever it says',
      publicKeyPem: publicKey.export({ format: 'pem', type: 'spki' }),
      privateKeyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }),
      createdAtMs: 1_700_000_000_000,
    })
    const stateDir = join(temporaryFolder(), 'state')
    const program = startProgram(MAIN, {
      args: ['id', 'import', '-', '--state-dir', stateDir, '--json'],
      input: text,
    })
    const expected = identityFrom({ seed: privateKey.export({ format: 'jwk' }).d ?? '' }).id
    expect((await program.outcome).answer).toMatchObject({ deviceId: expected, imported: true })
    expect((await openIdentity({ directory: stateDir })).createdAtMs).toBe(1_700_000_000_000)
  })

  test('replaces no key, writes over no file, and says nothing of what it could not read', async () => {
    const folder = temporaryFolder()
    const stateDir = join(folder, 'state')
    const { path } = await holdfastJson<Shown>(stateDir, 'id')
    const before = readFileSync(path)
    const other = join(folder, 'other')
    writeFileSync(other, 'b'.repeat(64))
    const codeOf = async (...words: string[]): Promise<unknown> => {
      const outcome = await holdfastHere([...words, '--state-dir', stateDir, '--json'])
      expect(outcome.stdout + outcome.stderr).not.toContain('bbbb')
      expect(outcome.exitCode).toBeGreaterThan(0)
      return (outcome.answer as { error: { code: string } }).error.code
    }
    expect(await codeOf('id', 'import', other)).toBe('IDENTITY_EXISTS')
    writeFileSync(other, `-----BEGIN ${'b'.repeat(60)}`)
    expect(await codeOf('id', 'import', other)).toBe('KEY_SOURCE_UNSUPPORTED')
    expect(await codeOf('id', 'import', join(folder, 'nowhere'))).toBe('USAGE')
    expect(await codeOf('id', 'export', other)).toBe('EXPORT_FAILED')
    expect(readFileSync(path)).toEqual(before)
    expect(readFileSync(other, 'utf8')).toContain('bbbb')
  })
})

interface Diagnosis {
  readonly identity: { readonly deviceId: string } | null
  readonly paths: readonly { readonly path: string; readonly mode: string | null }[]
  readonly leftovers: readonly Record<string, unknown>[]
  readonly removed: readonly string[]
  readonly findings: readonly { readonly code: string; readonly severity: string; readonly fix: string }[]
  readonly race: Record<string, unknown> | null
}

describe('holdfast doctor', () => {
  test('F31: lists what dead processes left with owner and age, and removes it without asking', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const { deviceId } = await holdfastJson<Shown>(stateDir, 'id')
    const lock = join(stateDir, 'install.lock')
    const dead = join(stateDir, '.device.0123456789abcdef')
    const live = join(stateDir, '.device.fedcba9876543210')
    // A `doctor --race` that was killed.
    const race = join(stateDir, '.race.0123456789abcdef')
    for (const folder of [lock, dead, live, join(race, 'state')]) mkdirSync(folder, { recursive: true })
    for (const folder of [lock, dead, race]) utimesSync(folder, 1, 1)
    const seen = await holdfastJson<Diagnosis>(stateDir, 'doctor')
    expect(seen.identity).toMatchObject({ deviceId })
    expect(seen.leftovers).toMatchObject([
      { path: dead, kind: 'unpublished', state: 'dead', safeToRemove: true, ageMs: expect.any(Number) },
      { path: live, kind: 'unpublished', state: 'live', safeToRemove: false, ageMs: expect.any(Number) },
      { path: race, kind: 'unpublished', state: 'dead', safeToRemove: true, ageMs: expect.any(Number) },
      { path: lock, kind: 'lock', state: 'dead', safeToRemove: true, ownerUid: process.getuid?.() ?? null },
    ])
    expect([...seen.removed].sort()).toEqual([dead, race, lock])
    expect([lock, dead, race, live].map(path => existsSync(path))).toEqual([false, false, false, true])
    expect(seen.paths.map(({ mode }) => mode)).toEqual(['0700', '0700', '0600'])
  })

  test('ends with 1, the code and the command where the key cannot be used; running the command helps', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const { path } = await holdfastJson<Shown>(stateDir, 'id')
    chmodSync(path, 0o644)
    const { exitCode, answer } = await holdfastHere(['doctor', '--state-dir', stateDir, '--json'])
    const [first] = (answer as Diagnosis).findings
    expect({ exitCode, first }).toMatchObject({
      exitCode: 1,
      first: { code: 'KEY_FILE_EXPOSED', severity: 'error' },
    })
    const [, change, file] = /chmod (\S+) (\S+)$/.exec(first?.fix ?? '') ?? []
    expect([change, file]).toEqual(['go=', path])
    chmodSync(path, 0o600)
    expect((await holdfastHere(['doctor', '--state-dir', stateDir])).exitCode).toBe(0)
  })

  test('makes no identity by looking', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const { findings } = await holdfastJson<Diagnosis>(stateDir, 'doctor')
    expect(findings).toContainEqual(expect.objectContaining({ code: 'IDENTITY_ABSENT', severity: 'note' }))
    expect(existsSync(stateDir)).toBe(false)
  })

  test('F01 C15: --race lets real processes make one identity on the same disk, and leaves nothing there', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    await holdfastJson(stateDir, 'id')
    const outcome = await holdfast(['doctor', '--race', '8', '--state-dir', stateDir, '--json'])
    const { race } = outcome.answer as Diagnosis
    expect(race).toMatchObject({ processes: 8, deviceIds: 1, created: 1, failed: 0 })
    expect(String(race?.['directory']).startsWith(stateDir)).toBe(true)
    expect(files(stateDir)).toEqual(['device', join('device', 'key.json')])
  })
})
