import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type Outcome, programPath, runProgram } from '../support/processes.ts'
import { freshFolder, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open.ts', import.meta.url)
const unguarded = new URL('./programs/open-unguarded.ts', import.meta.url)
const killer = new URL('./programs/kill-at-step.ts', import.meta.url).href

/** A process-id namespace of its own, in which the first process is number 1: it ends with its first process. */
const CONTAINER = ['--pid', '--fork', '--mount-proc']
const canUnshare = spawnSync('unshare', [...CONTAINER, 'true'], { stdio: 'ignore' }).status === 0
// A process that is number 1 cannot be killed from inside: it ends at once instead, giving nothing back.
const holdAndDie =
  'data:text/javascript,' +
  encodeURIComponent(`
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    const { mkdirSync } = fs
    fs.mkdirSync = (path, ...rest) => (/\\.device\\.[0-9a-f]{16}$/.test(path) ? process.reallyExit(9) : mkdirSync(path, ...rest))
    syncBuiltinESMExports()`)

/** Rounds a step, and how many of each run side by side: they mostly wait for a dead holder's lock to be given up. */
const ROUNDS = process.env['HOLDFAST_LONG'] === undefined ? 2 : 100
const SIDE_BY_SIDE = 2

/** The steps of a creation, and whether the key is published by then. */
const steps: readonly [string, boolean][] = [
  ['before the lock', false],
  ['in the lock', false],
  ['halfway through the temporary write', false],
  ['after the temporary write', false],
  ['after fsync', false],
  ['after the rename', true],
  ['before the clean-up', true],
]

interface Opened {
  readonly id: string
  readonly created: boolean
  readonly tookMs: number
}

const argsOf = (program: URL, directory: string, sync: boolean): readonly string[] =>
  program === unguarded ? [directory] : [JSON.stringify({ directory, sync })]

/** A creator that is killed at this step. */
async function killedAt(step: string, program: URL, directory: string, sync: boolean): Promise<void> {
  const killed = await runProgram(program, {
    args: argsOf(program, directory, sync),
    nodeFlags: ['--import', killer],
    env: { HOLDFAST_TEST_STEP: step },
  })
  expect({ step, signal: killed.signal, stderr: killed.stderr }).toEqual({
    step,
    signal: 'SIGKILL',
    stderr: '',
  })
}

function open(directory: string, sync: boolean): Promise<Outcome> {
  return runProgram(opener, { args: argsOf(opener, directory, sync) })
}

async function inTurns(count: number, act: (round: number) => Promise<void>): Promise<void> {
  for (let first = 0; first < count; first += SIDE_BY_SIDE) {
    const rounds = Array.from({ length: Math.min(SIDE_BY_SIDE, count - first) }, (_, index) => first + index)
    await Promise.all(rounds.map(act))
  }
}

/** One creator that is killed at this step, the one that comes after it, and a third. */
async function playRound(step: string, published: boolean, directory: string, sync: boolean): Promise<void> {
  await killedAt(step, opener, directory, sync)
  const path = join(directory, 'device', 'key.json')
  expect(existsSync(path)).toBe(published)
  const before = published ? readFileSync(path, 'utf8') : null

  const next = (await open(directory, sync)).answer as Opened
  expect(next.created).toBe(!published)
  expect(next.tookMs).toBeLessThan(5_000)
  const stored = readFileSync(path, 'utf8')
  expect(JSON.parse(stored).deviceId).toBe(next.id)
  if (before !== null) expect(stored).toBe(before)

  const last = (await open(directory, !sync)).answer as Opened
  expect(last).toMatchObject({ id: next.id, created: false })
  expect(readFileSync(path, 'utf8')).toBe(stored)
  expect(treeOf(directory).filter(name => name.endsWith('key.json') && !name.startsWith('.'))).toEqual([
    join('device', 'key.json'),
  ])
}

describe('a creator that is killed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-identity-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  /** How each step went. All are played at once, since each spends its time waiting; each is awaited by its own test. */
  const played = new Map<string, Promise<void>>()

  function playAll(): void {
    for (const [index, [step, published]] of steps.entries()) {
      const rounds = inTurns(ROUNDS, round =>
        playRound(step, published, join(folder, `${index}-${round}`, 'state'), round % 2 === 0),
      )
      rounds.catch(() => undefined) // Told by the test of this step.
      played.set(step, rounds)
    }
  }

  test.each(steps)(
    'F29 F46 F27 F28: %s leaves a place that the next open uses by itself',
    async step => {
      if (played.size === 0) playAll()
      expect(played.has(step)).toBe(true)
      await played.get(step)
    },
    1_800_000,
  )

  test.skipIf(!canUnshare)(
    'F28: in a container, the next one proceeds though its process has the same id',
    async () => {
      const directory = join(freshFolder(), 'state')
      const inContainer = (flags: readonly string[], environment: object): string => {
        const words = [
          ...flags,
          '--conditions=source',
          '--no-warnings',
          programPath(opener),
          JSON.stringify({ directory }),
        ]
        const { stdout } = spawnSync('unshare', [...CONTAINER, process.execPath, ...words], {
          env: { ...process.env, ...environment },
          encoding: 'utf8',
        })
        return stdout
      }
      expect(inContainer(['--import', holdAndDie], {})).toBe('')
      const marks = readdirSync(join(directory, 'install.lock'))
      expect(readFileSync(join(directory, 'install.lock', marks[0] ?? ''), 'utf8')).toMatch(/^pid 1,/)
      const next = JSON.parse(inContainer([], {})) as Opened
      expect(next.created).toBe(true)
      expect(next.tookMs).toBeLessThan(5_000)
    },
  )

  test('F46: without the publish step a crash leaves half a key, and the next open has none (negative control)', async () => {
    const directory = join(freshFolder(), 'state')
    await killedAt('halfway through the temporary write', unguarded, directory, true)
    expect((await open(directory, true)).answer).toMatchObject({
      code: 'KEY_FILE_DAMAGED',
      detail: { reason: 'truncated' },
    })
  })

  test('F20 F27 F29: many that come after it at once get one key', async () => {
    const openAfter = async (step: string): Promise<void> => {
      const directory = join(freshFolder(), 'state')
      await killedAt(step, opener, directory, false)
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, index) => open(directory, index % 2 === 0)),
      )
      const answers = outcomes.map(outcome => outcome.answer as Opened)
      expect(new Set(answers.map(answer => answer.id)).size).toBe(1)
      expect(answers.filter(answer => answer.created)).toHaveLength(step === 'before the clean-up' ? 0 : 1)
    }
    await Promise.all(['in the lock', 'after fsync', 'before the clean-up'].map(openAfter))
  })
})
