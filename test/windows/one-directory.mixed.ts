import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type MixedOutcome, runOn, type System, startMixed } from './windows-programs.ts'

const opener = new URL('./programs/open-somewhere.ts', import.meta.url)
const unguarded = new URL('./programs/open-unguarded-somewhere.ts', import.meta.url)
const reader = new URL('./programs/read-while-held.ts', import.meta.url)
const returner = new URL('./programs/give-back-while-read.ts', import.meta.url)
const replacer = new URL('./programs/replace.ts', import.meta.url)

/** By turns with the lock and without. */
const ROUNDS = process.env['HOLDFAST_LONG'] === undefined ? 2 : 20
const EIGHT_AND_EIGHT: readonly System[] = Array.from({ length: 16 }, (_, index) =>
  index % 2 === 0 ? 'windows' : 'linux',
)

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-windows-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Nothing counts that did not run where it should: the program itself says on what it ran. */
function answersOf(outcomes: readonly MixedOutcome[]): readonly Readonly<Record<string, unknown>>[] {
  return outcomes.map(({ system, answer, stderr, exitCode }) => {
    expect({ exitCode, stderr, platform: answer?.['platform'] }).toEqual({
      exitCode: 0,
      stderr: '',
      platform: system === 'windows' ? 'win32' : 'linux',
    })
    return answer ?? {}
  })
}

describe('8 processes of Windows and 8 of Linux on one directory', () => {
  test('F01 F02 F34: make one identity, once, with the lock and without', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const directory = join(freshFolder(), 'state')
      const outcomes = await startMixed(opener, EIGHT_AND_EIGHT, (pathOf, index) => [
        pathOf(directory),
        round % 2 === 0 ? '3000' : '0',
        index % 4 < 2 ? 'sync' : 'async',
      ])
      const answers = answersOf(outcomes)
      expect(answers.filter(({ id }) => id === undefined)).toEqual([])
      expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
      expect(answers.filter(({ created }) => created === true)).toHaveLength(1)
      const stored = JSON.parse(readFileSync(join(directory, 'device', 'key.json'), 'utf8'))
      expect(stored.deviceId).toBe(answers[0]?.['id'])
      expect(readdirSync(directory).filter(name => name !== 'install.lock')).toEqual(['device'])
      for (const system of ['windows', 'linux'] as const) {
        const later = await runOn(system, opener, pathOf => [pathOf(directory), '3000', 'sync'])
        expect(answersOf([later])).toMatchObject([{ id: stored.deviceId, created: false }])
      }
    }
  })

  test('F01: disagree without lock and publish step (negative control)', async () => {
    let disagreed = false
    for (let round = 0; round < 10 && !disagreed; round++) {
      const directory = join(freshFolder(), 'state')
      const outcomes = await startMixed(unguarded, EIGHT_AND_EIGHT, pathOf => [pathOf(directory)])
      const answers = answersOf(outcomes)
      disagreed =
        new Set(answers.map(({ id }) => id)).size > 1 ||
        answers.filter(({ created }) => created === true).length > 1
    }
    expect(disagreed).toBe(true)
  })
})

describe('Windows', () => {
  test('F04 F34: a key that somebody else has open for a moment is waited for; for longer that is said, and it is read afterwards', async () => {
    const directory = join(freshFolder(), 'state')
    const outcome = await runOn('windows', reader, pathOf => [pathOf(directory)])
    const [answer] = answersOf([outcome])
    const { id } = answer ?? {}
    expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(answer).toMatchObject({
      heldAllTheTime: { code: 'KEY_FILE_UNREADABLE', detail: { errno: 'EBUSY' } },
      heldForAMoment: id,
      later: id,
    })
    expect(JSON.parse(readFileSync(join(directory, 'device', 'key.json'), 'utf8')).deviceId).toBe(id)
  })

  test('F20: the lock is given back though somebody reads its mark just then, and nothing of it stays', async () => {
    const outcome = await runOn('windows', returner, pathOf => [pathOf(join(freshFolder(), 'state'))])
    expect(answersOf([outcome])).toMatchObject([{ readers: 1, left: null }])
  })

  test('F33: a file that readers have open all the time is replaced all the same, and never seen in part', async () => {
    const directory = join(freshFolder(), 'state')
    const systems: readonly System[] = ['windows', 'windows', 'windows', 'windows', 'windows', 'windows']
    const outcomes = await startMixed(replacer, systems, (pathOf, index) => [
      pathOf(directory),
      index < 3 ? 'write' : 'read',
    ])
    const answers = answersOf(outcomes)
    expect(answers.filter(({ failures }) => failures !== 0)).toEqual([])
    expect(answers.filter(({ torn }) => torn !== 0)).toEqual([])
    expect(answers.filter((_, index) => index < 3).map(({ done }) => done)).toEqual([40, 40, 40])
    // The control: readers did stand in the way of a rename that is tried once.
    expect(answers.reduce((sum, { refused }) => sum + Number(refused), 0)).toBeGreaterThan(0)
  })
})
