import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Outcome, raceRounds, startTogether } from '../support/processes.ts'
import { freshFolder, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open.ts', import.meta.url)
const unguarded = new URL('./programs/open-unguarded.ts', import.meta.url)

/** In Wine a process takes many times as long to start. */
const MANY = process.platform === 'win32' ? 24 : 96

interface Answer {
  readonly id?: string
  readonly created?: boolean
}

function answersOf(outcomes: readonly Outcome[]): readonly Answer[] {
  return outcomes.map(({ answer, stderr }) => {
    expect(stderr).toBe('')
    return answer as Answer
  })
}

/** One id, one creator, no error, and nothing but the key left behind. */
function expectOneIdentity(outcomes: readonly Outcome[], directory: string): void {
  const answers = answersOf(outcomes)
  expect(outcomes.filter(outcome => outcome.exitCode !== 0)).toEqual([])
  expect(answers.filter(answer => answer.id === undefined)).toEqual([])
  expect(new Set(answers.map(answer => answer.id)).size).toBe(1)
  expect(answers.filter(answer => answer.created)).toHaveLength(1)
  const stored = JSON.parse(readFileSync(join(directory, 'device', 'key.json'), 'utf8')) as {
    deviceId: string
  }
  expect(stored.deviceId).toBe(answers[0]?.id)
  expect(treeOf(directory)).toEqual(['device', join('device', 'key.json')])
}

describe('first start', () => {
  test(`F01 F26 C15: ${MANY} processes that start together get one id, and exactly one created it`, async () => {
    for (let round = 0; round < raceRounds; round++) {
      const directory = join(freshFolder(), 'state')
      const outcomes = await startTogether(opener, MANY, index => ({
        args: [JSON.stringify({ directory, sync: index % 2 === 0 })],
      }))
      expectOneIdentity(outcomes, directory)
    }
  })

  test('F26: 16 processes that call openIdentitySync at once all get the one identity, within ten seconds', async () => {
    for (let round = 0; round < raceRounds; round++) {
      const directory = join(freshFolder(), 'state')
      const outcomes = await startTogether(opener, 16, () => ({
        args: [JSON.stringify({ directory, sync: true })],
      }))
      expectOneIdentity(outcomes, directory)
      for (const { tookMs } of outcomes.map(outcome => outcome.answer as { tookMs: number })) {
        expect(tookMs).toBeLessThan(10_000)
      }
    }
  })

  test('F01 F02 F20: the same with the lock taken out, since nothing relies on it', async () => {
    for (let round = 0; round < raceRounds; round++) {
      for (const count of [2, 32]) {
        const directory = join(freshFolder(), 'state')
        const outcomes = await startTogether(opener, count, index => ({
          args: [JSON.stringify({ directory, lockTimeoutMs: 0, sync: index % 2 === 0 })],
        }))
        expectOneIdentity(outcomes, directory)
      }
    }
  })

  test('F01 C15: the race is real: without lock and publish step, processes disagree (negative control)', async () => {
    let disagreed = false
    for (let round = 0; round < 10 && !disagreed; round++) {
      const directory = join(freshFolder(), 'state')
      const answers = answersOf(await startTogether(unguarded, MANY / 2, () => ({ args: [directory] })))
      disagreed =
        new Set(answers.map(answer => answer.id)).size > 1 ||
        answers.filter(answer => answer.created).length > 1
    }
    expect(disagreed).toBe(true)
  })
})
