import { chmodSync, chownSync, mkdirSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { openIdentity } from '@holdfast/identity'
import { locateState } from '@holdfast/identity/state'
import { describe, expect, test } from 'vitest'
import { chooseLocation } from '../../packages/identity/src/internal/state-location.ts'
import { type ProgramOptions, runProgram } from '../support/processes.ts'
import { failureOf, freshFolder, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open.ts', import.meta.url)
const asRoot = process.geteuid?.() === 0
const clean = { HOME: undefined, XDG_DATA_HOME: undefined, HOLDFAST_DIR_DEMO: undefined }

async function openAs(
  options: object,
  env: ProgramOptions['env'] = {},
  more: ProgramOptions = {},
): Promise<unknown> {
  const { answer } = await runProgram(opener, {
    ...more,
    args: [JSON.stringify(options)],
    env: { ...clean, ...env },
  })
  return answer
}

const onWindows = process.platform === 'win32'
const homeAt = (home: string): Record<string, string> => (onWindows ? { LOCALAPPDATA: home } : { HOME: home })
const dataIn = (home: string, app: string): string =>
  onWindows ? join(home, app, 'Data') : join(home, '.local', 'share', app)

describe('where the state is', () => {
  test('F13 M21: nothing is made outside the directory that was named', async () => {
    const [home, named] = [freshFolder(), freshFolder()]
    const env = { HOME: home, XDG_DATA_HOME: undefined, TMPDIR: home }
    expect(await openAs({ directory: join(named, 'by-option') }, env)).toMatchObject({ created: true })
    expect(
      await openAs({ app: 'demo' }, { ...env, HOLDFAST_DIR_DEMO: join(named, 'by-variable') }),
    ).toMatchObject({
      created: true,
    })
    expect(treeOf(home)).toEqual([])
  })

  test('M21: directory over variable over the user data folder', async () => {
    const [home, option, variable] = [freshFolder(), freshFolder(), freshFolder()]
    const env = { ...homeAt(home), HOLDFAST_DIR_DEMO: variable }
    expect(await openAs({ app: 'demo', directory: option }, env)).toMatchObject({ directory: option })
    expect(await openAs({ app: 'demo' }, env)).toMatchObject({ directory: variable })
    expect(await openAs({ app: 'demo' }, homeAt(home))).toMatchObject({ directory: dataIn(home, 'demo') })
  })

  test('M21: a child finds its parent’s identity whatever its cwd, HOME and TMPDIR', async () => {
    const directory = freshFolder()
    const { id } = await openIdentity({ directory })
    for (const app of ['demo', 'demo-two']) {
      const env = {
        [`HOLDFAST_DIR_${app.toUpperCase().replace('-', '_')}`]: directory,
        HOME: freshFolder(),
        TMPDIR: freshFolder(),
      }
      expect(await openAs({ app }, env, { cwd: freshFolder() })).toMatchObject({ id, created: false })
    }
  })

  test('the variable of one app says nothing to another', async () => {
    const [home, variable] = [freshFolder(), freshFolder()]
    const answer = await openAs({ app: 'other' }, { ...homeAt(home), HOLDFAST_DIR_DEMO: variable })
    expect(answer).toMatchObject({ directory: dataIn(home, 'other') })
  })

  test('F14: a profile is never overruled by the variable, and is an install of its own', async () => {
    const [home, variable] = [freshFolder(), freshFolder()]
    const env = { ...homeAt(home), HOLDFAST_DIR_DEMO: variable }
    const a = await openAs({ app: 'demo', profile: 'a' }, env)
    const b = await openAs({ app: 'demo', profile: 'b' }, env)
    expect(a).toMatchObject({ created: true })
    expect(b).toMatchObject({ created: true })
    expect(treeOf(variable)).toEqual([])
  })

  test('never by a relative path', async () => {
    const cwd = freshFolder()
    for (const [options, env] of [
      [{ directory: 'state' }, {}],
      [{ directory: './state' }, {}],
      [{ directory: '' }, {}],
      [{ app: 'demo' }, { HOLDFAST_DIR_DEMO: 'state' }],
      [{ app: 'demo' }, { HOLDFAST_DIR_DEMO: '' }],
    ] as const) {
      expect(await openAs(options, env, { cwd })).toMatchObject({ code: 'STATE_LOCATION_INVALID' })
    }
    expect(treeOf(cwd)).toEqual([])
  })

  test('M20: app and profile are names, not paths', async () => {
    for (const name of ['', 'Demo', '../demo', 'a/b', 'a.b', '-a', '1a', 'a'.repeat(33)]) {
      expect((await failureOf(() => locateState({ app: name }))).code).toBe('STATE_LOCATION_INVALID')
      expect((await failureOf(() => locateState({ app: 'demo', profile: name }))).code).toBe(
        'STATE_LOCATION_INVALID',
      )
    }
    expect(() => locateState({})).toThrow(TypeError)
    expect((await failureOf(() => locateState({ directory: '/x', profile: 'a' }))).code).toBe(
      'STATE_LOCATION_INVALID',
    )
  })

  test.runIf(process.platform !== 'win32')(
    'F25: the same install through a link and through the real path',
    async () => {
      const folder = freshFolder()
      mkdirSync(join(folder, 'real'), { mode: 0o700 })
      symlinkSync(join(folder, 'real'), join(folder, 'link'))
      const through = await openIdentity({ directory: join(folder, 'link', 'a', 'b', 'state') })
      const direct = await openIdentity({ directory: join(folder, 'real', 'a', 'b', 'state') })
      expect(direct).toMatchObject({ id: through.id, created: false })
    },
  )

  test.runIf(asRoot)('H16: a link of another user on the way is not followed', async () => {
    const folder = freshFolder()
    mkdirSync(join(folder, 'real'), { mode: 0o700 })
    symlinkSync(join(folder, 'real'), join(folder, 'link'))
    const { lchownSync } = await import('node:fs')
    lchownSync(join(folder, 'link'), 12345, 12345)
    const failure = await failureOf(() => openIdentity({ directory: join(folder, 'link', 'state') }))
    expect(failure.code).toBe('KEY_FILE_FOREIGN')
    expect(treeOf(folder)).toEqual(['link', 'real'])
  })
})

describe('a place and a device that were handed down', () => {
  const other = 'a'.repeat(64)

  test('F07: no key at that place is said, and none is made', async () => {
    const directory = join(freshFolder(), 'not-mounted')
    const env = { HOLDFAST_DIR_DEMO: directory, HOLDFAST_DEVICE_DEMO: other }
    for (const sync of [true, false]) {
      expect(await openAs({ app: 'demo', sync }, env)).toMatchObject({
        code: 'IDENTITY_MISSING',
        detail: { path: join(directory, 'device', 'key.json'), expected: other },
      })
    }
    expect(treeOf(join(directory, '..'))).toEqual([])
  })

  test('F07: another key at that place is said', async () => {
    const directory = freshFolder()
    const { id } = await openIdentity({ directory })
    const env = { HOLDFAST_DIR_DEMO: directory, HOLDFAST_DEVICE_DEMO: other }
    expect(await openAs({ app: 'demo' }, env)).toMatchObject({
      code: 'IDENTITY_UNEXPECTED',
      detail: { expected: other, found: id },
    })
    expect(await openAs({ app: 'demo' }, { ...env, HOLDFAST_DEVICE_DEMO: id })).toMatchObject({ id })
    expect(await openAs({ app: 'demo' }, { ...env, HOLDFAST_DEVICE_DEMO: 'mine' })).toMatchObject({
      code: 'STATE_LOCATION_INVALID',
    })
  })

  test('the device is looked at only where the variable chose the place', async () => {
    const [home, directory] = [freshFolder(), freshFolder()]
    const env = { ...homeAt(home), HOLDFAST_DEVICE_DEMO: other, HOLDFAST_DIR_DEMO: directory }
    expect(await openAs({ app: 'demo', directory: join(home, 'named') }, env)).toMatchObject({
      created: true,
    })
    expect(await openAs({ app: 'demo', profile: 'p' }, env)).toMatchObject({ created: true })
    const withoutPlace = { ...env, HOLDFAST_DIR_DEMO: undefined }
    expect(await openAs({ app: 'demo' }, withoutPlace)).toMatchObject({ created: true })
  })
})

describe.runIf(process.platform === 'linux')('the user data folder', () => {
  test('is the one that env-paths names', async () => {
    const fromPackage = createRequire(new URL('../../packages/identity/package.json', import.meta.url))
    const { default: envPaths } = await import(pathToFileURL(fromPackage.resolve('env-paths')).href)
    expect(locateState({ app: 'demo' }).directory).toBe(envPaths('demo', { suffix: '' }).data)
  })

  const surroundings = {
    platform: 'linux',
    environment: {},
    uid: 1000,
    gid: 1000,
    userDatabaseHome: () => '/home/me',
    ownerOf: (path: string) => (path.startsWith('/home/me') ? 1000 : path.startsWith('/home') ? 1001 : 0),
  } as const
  const chosen = (environment: Record<string, string>, more = {}): string =>
    chooseLocation({ app: 'demo' }, { ...surroundings, environment, ...more }).directory

  test('F82: HOME that is unset, relative, another user’s or not there gives the home of the user database', () => {
    const home = '/home/me/.local/share/demo'
    expect(chosen({})).toBe(home)
    for (const claimed of ['', 'me', '../me', '/home/other', '/root', '/nowhere']) {
      expect(chosen({ HOME: claimed })).toBe(home)
    }
    expect(chosen({ HOME: '/home/me/elsewhere' })).toBe('/home/me/elsewhere/.local/share/demo')
  })

  test('F82: a relative XDG_DATA_HOME, or another user’s, is not taken', () => {
    const home = '/home/me/.local/share/demo'
    for (const data of ['', 'data', './data', '/home/other/.local/share']) {
      expect(chosen({ XDG_DATA_HOME: data, HOME: '/home/me' })).toBe(home)
    }
    expect(chosen({ XDG_DATA_HOME: '/srv/data', HOME: '/home/me' })).toBe('/srv/data/demo')
  })

  test('F82: no home at all is a typed error', async () => {
    const nobody = { userDatabaseHome: () => null }
    const failure = await failureOf(() => chosen({ HOME: 'relative' }, nobody))
    expect(failure.code).toBe('STATE_LOCATION_INVALID')
    expect(failure.detail).toMatchObject({ source: 'home' })
  })

  test('F82: a service without HOME and a shell with it find the same place', async () => {
    const known = join(userInfo().homedir, '.local', 'share', 'demo')
    const home = userInfo().homedir
    const service = await runProgram(new URL('./programs/locate.ts', import.meta.url), { env: clean })
    const shell = await runProgram(new URL('./programs/locate.ts', import.meta.url), {
      env: { ...clean, HOME: home },
    })
    expect([service.answer, shell.answer]).toEqual([known, known])
  })

  test('never the roaming folder of Windows, and no path without a drive', () => {
    const windows = {
      ...surroundings,
      platform: 'win32',
      uid: null,
      gid: null,
      userDatabaseHome: () => 'C:\\Users\\me',
    } as const
    const on = (environment: Record<string, string>): string =>
      chooseLocation({ app: 'demo' }, { ...windows, environment }).directory
    expect(on({ LOCALAPPDATA: 'D:\\Local', APPDATA: 'D:\\Roaming' })).toBe('D:\\Local\\demo\\Data')
    expect(on({ APPDATA: 'D:\\Roaming' })).toBe('C:\\Users\\me\\AppData\\Local\\demo\\Data')
    expect(on({ LOCALAPPDATA: '\\Local' })).toBe('C:\\Users\\me\\AppData\\Local\\demo\\Data')
    expect(on({ HOLDFAST_DIR_DEMO: 'C:/state/demo' })).toBe('C:\\state\\demo')
  })

  test.runIf(asRoot)('F82: what sudo leaves in the environment leads to nobody else’s folder', async () => {
    const home = freshFolder()
    chmodSync(home, 0o755)
    chownSync(home, 12345, 12345)
    const program = new URL('./programs/locate.ts', import.meta.url)
    const { answer } = await runProgram(program, { env: { ...clean, HOME: home, XDG_DATA_HOME: home } })
    expect(answer).toBe(join(userInfo().homedir, '.local', 'share', 'demo'))
    expect(treeOf(home)).toEqual([])
  })
})
