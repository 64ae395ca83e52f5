import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { leaveDelegation, spawnAgent } from '@holdfast/spawner'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ManualClock } from '../gateway/manual-clock.ts'
import { program, reporting, startChild, startInstall } from './gateway.ts'

const PAGE = readFileSync(new URL('../../packages/spawner/DELEGATION.md', import.meta.url), 'utf8')
const PYTHON_MODULES = fileURLToPath(new URL('../gateway/python', import.meta.url))
const python = ['python3', 'python'].find(name => spawnSync(name, ['--version']).status === 0) ?? null
const WISH = { scopes: ['operator.read'] }
const QUIET = { stdio: ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'] }

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hand-down-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The code of the page in this language, as a file. */
function codeOfPage(language: string): string {
  const code = new RegExp(`\`\`\`${language}\\n([^\`]*)\`\`\``).exec(PAGE)?.[1]
  if (code === undefined) throw new Error(`the page has no ${language}`)
  const path = join(freshFolder(), `page.${language}`)
  writeFileSync(path, code)
  return path
}

describe('what is handed down over a pipe', () => {
  test("the install's variables are gone, a marker is left, and nothing secret is in environment or arguments", async () => {
    const { identity, directory } = await startInstall()
    const env = {
      ...process.env,
      HOLDFAST_DIR_HOLDFAST: directory,
      HOLDFAST_DEVICE_HOLDFAST: identity.id,
      HOLDFAST_DELEGATION_HOLDFAST: 'fd:9',
    }
    const script =
      'console.log(JSON.stringify({ env: process.env, args: [process.argv, process.execArgv], given: fs.readFileSync(3, "utf8"), rest: fs.readFileSync(3, "utf8") }))'
    const child = spawnAgent(process.execPath, ['--eval', script], { identity, env, ...WISH, ...QUIET })
    const report = await reporting(child).next()
    expect(report['env']).toMatchObject({ HOLDFAST_DELEGATION_HOLDFAST: 'fd:3:4' })
    expect(report['env']).not.toHaveProperty('HOLDFAST_DIR_HOLDFAST')
    expect(report['env']).not.toHaveProperty('HOLDFAST_DEVICE_HOLDFAST')
    const given = JSON.parse(String(report['given']))
    expect(given).toMatchObject({
      format: 'holdfast-delegation',
      role: 'operator',
      scopes: ['operator.read'],
    })
    expect(JSON.stringify([report['env'], report['args']])).not.toContain(given.secretKey)
    // Read once: what comes after is the end.
    expect(report['rest']).toBe('')
    expect(env.HOLDFAST_DIR_HOLDFAST).toBe(directory)
  })

  test('with the marker and nothing to read there is no falling back to the key that is there, even where it is named', async () => {
    const { identity, directory } = await startInstall()
    const start = (env: Readonly<Record<string, string>>) => {
      const merged = { ...process.env, HOLDFAST_DIR_HOLDFAST: directory, ...env }
      return reporting(
        spawn(process.execPath, [...program('child'), 'named'], { env: merged, ...QUIET }),
      ).next()
    }
    const losses = {
      'fd:3': 'descriptor',
      'fd:0': 'descriptor',
      pipe: 'marker',
      'file:/nowhere/at/all': 'file-absent',
    }
    const reports = await Promise.all(
      Object.keys(losses).map(marker => start({ HOLDFAST_DELEGATION_HOLDFAST: marker })),
    )
    const unavailable = Object.values(losses).map(reason => ({ code: 'DELEGATION_UNAVAILABLE', reason }))
    expect(reports).toMatchObject(unavailable)
    // Negative control: without the marker the same child is the device.
    expect(await start({})).toMatchObject({ deviceId: identity.id })
  })

  test('two that read the same pipe: the second finds its end, and says so', async () => {
    const { identity } = await startInstall()
    const shell = `"$0" "$@" 4>&- & wait $!; exec "$0" "$@" 4>&-`
    const child = spawnAgent('sh', ['-c', shell, process.execPath, ...program('child'), 'connect'], {
      identity,
      ...WISH,
      ...QUIET,
    })
    const reports = await reporting(child).all()
    expect(reports.filter(({ scopes }) => scopes !== undefined).length).toBe(1)
    expect(reports.at(-1)).toMatchObject({ code: 'DELEGATION_UNAVAILABLE', reason: 'empty' })
  })

  test('the right is renewed while the parent lives, over a second pipe, and the connection outlives the first one', async () => {
    // Short of two of the gate's pings, which would find no answer while only its clock goes on.
    const ttlMs = 40_000
    const clock = new ManualClock()
    const { identity, gateway } = await startInstall({ clock })
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const child = startChild(['stay'], { identity, ...WISH, ttlMs })
    await child.next()
    const [connection] = gateway.gate.connections()
    const first = connection?.delegation?.expiresAtMs ?? 0
    const renewed = new Promise(resolve =>
      gateway.onEvent(({ event }) => event === 'delegation-renewed' && resolve(event)),
    )
    clock.advance(ttlMs / 2)
    vi.advanceTimersByTime(ttlMs / 2)
    await renewed
    expect(connection?.delegation?.expiresAtMs).toBeGreaterThanOrEqual(first + ttlMs / 2)
    clock.advance(first - clock.nowMs() + 1)
    const connectionIds = gateway.gate.connections().map(({ connectionId }) => connectionId)
    expect(connectionIds).toEqual([connection?.connectionId])
    child.kill()
  })

  test('a nested spawn: each generation narrower, none with more than its parent', async () => {
    const { identity, gateway } = await startInstall()
    const child = startChild(['nest', '1', 'operator.read'], {
      identity,
      scopes: ['operator.write'],
      depth: 2,
    })
    const reports = [await child.next(), await child.next(), await child.next()]
    expect(reports.map(({ scopes }) => scopes)).toEqual([
      ['operator.write'],
      ['operator.read'],
      ['operator.read'],
    ])
    expect(new Set(reports.map(({ deviceId }) => deviceId))).toEqual(new Set([identity.id]))
    const depths = gateway.gate.connections().map(({ delegation }) => delegation?.depth)
    expect(depths).toContain(2)
    child.kill()
  })
})

describe('what is left in a file', () => {
  async function left(change: (path: string, folder: string) => void = () => undefined) {
    const { identity, directory } = await startInstall()
    const folder = freshFolder()
    const path = join(folder, 'delegation')
    const made = leaveDelegation({ identity, ...WISH, path })
    // Windows has no modes: there the access list of the folder counts.
    if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o600)
    change(path, folder)
    const env = { ...process.env, ...made.environment, HOLDFAST_DIR_HOLDFAST: directory }
    const start = () =>
      reporting(spawn(process.execPath, program('child'), { env, stdio: ['ignore', 'pipe', 'inherit'] }))
    return { path, made, start }
  }

  test('is good for one child, which takes it away; of two that start together one gets it', async () => {
    const { path, start } = await left()
    const reports = await Promise.all([start().all(), start().all()])
    const firsts = reports.map(([first]) => first?.['reason'] ?? first?.['scopes'])
    expect(firsts).toContainEqual(['operator.read'])
    expect(firsts).toContain('file-absent')
    expect(existsSync(path)).toBe(false)
  })

  test.each([
    ['others may read it', (path: string) => chmodSync(path, 0o640)],
    [
      'it is a link',
      (path: string, folder: string) => {
        const target = join(folder, 'target')
        writeFileSync(target, readFileSync(path), { mode: 0o600 })
        rmSync(path)
        symlinkSync(target, path)
      },
    ],
  ])('is not read where %s', async (_, change) => {
    const { start } = await left(change)
    expect(await start().next()).toMatchObject({ code: 'DELEGATION_UNAVAILABLE', reason: 'file-foreign' })
  })

  test('never takes the place of a file that is there, and can be taken back', async () => {
    const { path, made } = await left()
    const { identity } = await startInstall()
    expect(() => leaveDelegation({ identity, ...WISH, path })).toThrow(/EEXIST/)
    made.remove()
    made.remove()
    expect(existsSync(path)).toBe(false)
  })
})

describe('children in other languages, by the page alone', () => {
  test.skipIf(python === null)('a child in Python connects', async () => {
    const { identity, gateway } = await startInstall()
    const args = [
      fileURLToPath(new URL('python/child.py', import.meta.url)),
      PYTHON_MODULES,
      codeOfPage('python'),
    ]
    const child = spawnAgent(python ?? '', args, { identity, ...WISH, ...QUIET })
    expect(await reporting(child).next()).toEqual({ ok: true, scopes: ['operator.read'] })
    expect((await gateway.store.listDevices()).items.length).toBe(1)
  })

  test('a shell hands it to the one program that connects, and shows the key to nobody', async () => {
    const { identity } = await startInstall()
    const args = [codeOfPage('sh'), process.execPath, ...program('child'), 'connect']
    const child = spawnAgent('sh', args, { identity, ...WISH, ...QUIET })
    expect(await reporting(child).next()).toMatchObject({ scopes: ['operator.read'], deviceId: identity.id })
  })
})
