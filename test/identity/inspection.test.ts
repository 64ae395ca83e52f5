import { chmodSync, chownSync, lstatSync, mkdirSync, statfsSync, utimesSync, writeFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { type Finding, inspectIdentity, openIdentity, resetIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { judgeLocation } from '../../packages/identity/src/internal/location-findings.ts'
import { chooseLocation } from '../../packages/identity/src/internal/state-location.ts'
import { runProgram, startProgram } from '../support/processes.ts'
import { freshFolder, installed, treeOf } from './state-folder.ts'

const onWindows = process.platform === 'win32'
const asRoot = process.geteuid?.() === 0
const holder = new URL('./programs/hold-lock.ts', import.meta.url)
const inspector = new URL('./programs/inspect.ts', import.meta.url)

/** Without what tests in a temporary folder are always told; in Wine, which has no access lists, that as well. */
const withoutPlace = (findings: readonly Finding[]): readonly Finding[] =>
  findings.filter(({ code }) => code !== 'EPHEMERAL_STATE' && code !== 'ACCESS_LIST_UNKNOWN')

describe('inspectIdentity', () => {
  test('F14: says who the device is, where its key lies, which rule chose the place, and how it is closed', async () => {
    const { directory, id, keyFile } = await installed()
    const seen = await inspectIdentity({ directory })
    expect(seen).toMatchObject({ identity: { deviceId: id }, location: { directory, chosenBy: 'directory' } })
    expect(seen.paths.map(({ path }) => path)).toEqual([directory, join(directory, 'device'), keyFile])
    for (const { path, mode, ownerUid } of seen.paths) {
      const { mode: truly, uid } = lstatSync(path)
      const closed = onWindows ? { mode: null, ownerUid: null } : { mode: truly & 0o7777, ownerUid: uid }
      expect({ mode, ownerUid }).toEqual(closed)
    }
    expect(withoutPlace(seen.findings)).toEqual([])
  })

  test('makes nothing and changes nothing by looking, whatever it finds', async () => {
    const directory = join(freshFolder(), 'state')
    const seen = await inspectIdentity({ directory })
    expect(withoutPlace(seen.findings)).toMatchObject([{ code: 'IDENTITY_ABSENT', severity: 'note' }])
    expect(treeOf(join(directory, '..'))).toEqual([])
    mkdirSync(join(directory, 'install.lock'), { recursive: true, mode: 0o700 })
    utimesSync(join(directory, 'install.lock'), 1, 1)
    const again = await inspectIdentity({ directory })
    expect(again.findings.map(({ code }) => code)).toContain('LEFTOVERS')
    expect(treeOf(directory)).toEqual(['install.lock'])
  })

  test('what opening would fail with is the first finding, with its facts and its command', async () => {
    const { directory, keyFile } = await installed()
    writeFileSync(keyFile, 'half')
    const { findings, identity } = await inspectIdentity({ directory })
    expect(identity).toBeNull()
    expect(findings[0]).toMatchObject({
      code: 'KEY_FILE_DAMAGED',
      severity: 'error',
      path: keyFile,
      facts: { reason: 'not-json' },
      fix: expect.stringContaining('holdfast id reset'),
    })
  })

  test('options that name no place are a finding as well', async () => {
    const { location, findings } = await inspectIdentity({ directory: 'relative' })
    expect(location).toBeNull()
    expect(findings).toMatchObject([{ code: 'STATE_LOCATION_INVALID', severity: 'error' }])
  })

  test('F31: left-overs of every name have a kind, an age, an owner and a verdict; the dead are cleared, the rest stays', async () => {
    const { directory } = await installed()
    const { setAside } = await resetIdentity({ directory })
    const hex = '0123456789abcdef'
    const names = [
      'install.lock',
      `.device.${hex}`,
      `.gateway.${hex}.left`,
      `.gateway-token.${hex}`,
      `.gateway.json.${hex}`,
      `device/.key.json.${hex}`,
    ]
    for (const name of names) {
      const path = join(directory, name)
      if (name.includes('json')) writeFileSync(path, 'half')
      else mkdirSync(path)
      utimesSync(path, 1, 1)
    }
    const young = join(directory, '.device.fedcba9876543210')
    mkdirSync(young)
    const seen = await inspectIdentity({ directory })
    const kinds = Object.fromEntries(
      seen.leftovers.map(({ path, kind, state }) => [
        path.slice(directory.length + 1).replaceAll(sep, '/'),
        `${state} ${kind}`,
      ]),
    )
    expect(kinds).toEqual({
      'install.lock': 'dead lock',
      [`.device.${hex}`]: 'dead unpublished',
      [`.gateway.${hex}.left`]: 'dead unpublished',
      [`.gateway-token.${hex}`]: 'dead unpublished',
      [`.gateway.json.${hex}`]: 'dead replacement',
      [`device/.key.json.${hex}`]: 'dead replacement',
      '.device.fedcba9876543210': 'live unpublished',
      [(setAside ?? '').slice(directory.length + 1)]: 'kept set-aside',
    })
    for (const { ageMs, ownerUid, safeToRemove, state } of seen.leftovers) {
      expect(ageMs).toBeGreaterThanOrEqual(0)
      expect(ownerUid).toBe(process.geteuid?.() ?? null)
      expect(safeToRemove).toBe(state === 'dead')
    }
    const { removed, findings } = await inspectIdentity({ directory, clearLeftovers: true })
    expect([...removed].sort()).toEqual(names.map(name => join(directory, name)).sort())
    expect(findings.map(({ code }) => code)).not.toContain('LEFTOVERS')
    const left = (await inspectIdentity({ directory })).leftovers.map(({ path }) => path)
    expect(left.sort()).toEqual([young, setAside].sort())
  })

  test.runIf(!onWindows)(
    'F31: a lock that is held is alive, named with its holder, and not removed',
    async () => {
      const { directory } = await installed()
      const program = startProgram(holder, { args: [directory] })
      await program.printed('holding')
      const { leftovers, removed } = await inspectIdentity({ directory, clearLeftovers: true })
      expect(leftovers).toMatchObject([{ kind: 'lock', state: 'live', safeToRemove: false }])
      expect(leftovers[0]?.holder).toContain(`pid ${program.process.pid}`)
      expect(removed).toEqual([])
      program.kill('SIGUSR2')
      expect((await program.outcome).answer).toEqual({ held: true })
    },
  )

  test.runIf(process.platform === 'linux' && statfsSync('/dev/shm').type === 0x01021994)(
    'F08: a directory in memory is one warning that names it',
    async () => {
      const directory = join('/dev/shm', `holdfast-${process.pid}`, 'state')
      const { findings, fileSystem } = await inspectIdentity({ directory })
      expect(fileSystem).toMatchObject({ type: 'tmpfs', ephemeral: 'memory' })
      const warnings = findings.filter(({ code }) => code === 'EPHEMERAL_STATE')
      expect(warnings).toMatchObject([
        { severity: 'warning', path: directory, fix: expect.stringContaining('HOLDFAST_DIR_') },
      ])
    },
  )

  test.runIf(asRoot)(
    'F78: files that sudo left to root are one warning, with the line that gives them back',
    async () => {
      const { directory } = await installed()
      for (const part of ['.', 'device', 'device/key.json']) chownSync(join(directory, part), 12345, 12345)
      writeFileSync(join(directory, 'store.sqlite'), '')
      const { findings } = await inspectIdentity({ directory })
      expect(findings.map(({ code }) => code)).toContain('KEY_FILE_FOREIGN')
      expect(findings).toContainEqual(
        expect.objectContaining({
          code: 'OWNERS_MIXED',
          facts: { ownerUid: 12345, otherUids: [0], paths: [join(directory, 'store.sqlite')] },
          fix: `sudo chown -R 12345 ${directory}`,
        }),
      )
    },
  )

  test.runIf(asRoot)('what another user closed to us is said, not guessed', async () => {
    const folder = freshFolder()
    const directory = join(folder, 'closed', 'state')
    await openIdentity({ directory })
    chmodSync(folder, 0o755)
    const { answer } = await runProgram(inspector, { args: [directory, '12345'] })
    expect(answer).toMatchObject({
      identity: null,
      paths: [{ kind: 'hidden', mode: null }, { kind: 'hidden' }, { kind: 'hidden' }],
      findings: expect.arrayContaining([
        expect.objectContaining({
          code: 'KEY_FILE_UNREADABLE',
          facts: expect.objectContaining({ errno: 'EACCES' }),
        }),
      ]),
    })
  })
})

describe('an environment that leads astray', () => {
  const surroundings = {
    platform: 'linux',
    environment: {},
    uid: 1000,
    gid: 1000,
    userDatabaseHome: () => '/home/me',
    ownerOf: (path: string) => (path.startsWith('/home/me') ? 1000 : 1001),
  } as const
  const judged = (
    environment: Record<string, string>,
    states: readonly string[] = [],
  ): readonly unknown[] => {
    const now = { ...surroundings, environment }
    return judgeLocation(chooseLocation({ app: 'demo' }, now), now, path => states.includes(path))
  }

  test('F82: a HOME or XDG_DATA_HOME that was not taken is said, with what was taken instead', () => {
    expect(judged({ HOME: '/home/me' })).toEqual([])
    expect(judged({})).toEqual([])
    expect(judged({ HOME: '/home/me', XDG_DATA_HOME: '/home/me/data' })).toEqual([])
    for (const home of ['me', '/root', '']) {
      expect(judged({ HOME: home })).toMatchObject([
        { code: 'HOME_IGNORED', facts: { variable: 'HOME', value: home }, fix: 'unset HOME' },
      ])
    }
    expect(judged({ HOME: '/home/me', XDG_DATA_HOME: 'data' })).toMatchObject([
      { code: 'HOME_IGNORED', facts: { variable: 'XDG_DATA_HOME' } },
    ])
  })

  test('F82: a HOME that is ours and yet not the user database’s is said: a service will look elsewhere', () => {
    expect(judged({ HOME: '/home/me/elsewhere' })).toMatchObject([
      {
        code: 'HOME_DIFFERS',
        facts: { home: '/home/me/elsewhere', userDatabase: '/home/me' },
        fix: expect.stringContaining('export HOLDFAST_DIR_DEMO=/home/me/elsewhere/.local/share/demo'),
      },
    ])
  })

  test('F79: a HOME that is itself a state directory is one warning with both candidates', () => {
    const home = '/home/me/.local/share/demo'
    const doubled = judged({ HOME: home }, [home]).filter(
      finding => (finding as { code: string }).code === 'STATE_DOUBLED',
    )
    expect(doubled).toMatchObject([{ facts: { home, used: `${home}/.local/share/demo` } }])
    expect(JSON.stringify(doubled)).toContain(`--state-dir ${home} or`)
  })
})
