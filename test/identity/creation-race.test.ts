import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { raceInRounds, raceProcesses, raceRounds, startTogether } from '../support/processes.ts'
import { freshFolder, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open-in-rounds.ts', import.meta.url)
const unguarded = new URL('./programs/open-unguarded.ts', import.meta.url)

/** The races that one set of processes runs, each on an empty directory of its own. */
const RACES = {
  together: { takePart: raceProcesses, options: (index: number) => ({ sync: index % 2 === 0 }) },
  withoutLock: {
    takePart: raceProcesses,
    options: (index: number) => ({ sync: index % 2 === 0, lockTimeoutMs: 0 }),
  },
  twoWithoutLock: {
    takePart: 2,
    options: (index: number) => ({ sync: index % 2 === 0, lockTimeoutMs: 0 }),
  },
  synchronously: { takePart: 16, options: () => ({ sync: true }) },
} as const
type Race = keyof typeof RACES

interface Answer {
  readonly id?: string
  readonly created?: boolean
  readonly tookMs?: number
}

/** What came of one round: what each process got, and what it left on disk. */
interface Round {
  readonly race: Race
  readonly answers: readonly Answer[]
  readonly stored: string
  readonly tree: readonly string[]
}

async function runRaces(): Promise<readonly Round[]> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-race-')))
  const rounds = (Object.keys(RACES) as Race[]).flatMap(race =>
    Array.from({ length: raceRounds }, (_, at) => ({ race, directory: join(folder, `${race}-${at}`) })),
  )
  const argsOf = (index: number) =>
    rounds.map(({ race, directory }) =>
      index < RACES[race].takePart ? { directory, ...RACES[race].options(index) } : null,
    )
  try {
    const { outcomes, seen } = await raceInRounds(
      opener,
      raceProcesses,
      rounds.length,
      index => ({ args: [JSON.stringify(argsOf(index))] }),
      round => onDisk(rounds[round]?.directory ?? ''),
    )
    expect(outcomes.map(({ stderr }) => stderr).join('')).toBe('')
    expect(outcomes.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
    const answers = outcomes.map(({ stdout }) => answersIn(stdout))
    return seen.map((left, at) => {
      const { race } = rounds[at] ?? { race: 'together' }
      return { race, ...left, answers: answers.slice(0, RACES[race].takePart).map(own => own[at] ?? {}) }
    })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function onDisk(directory: string): Pick<Round, 'stored' | 'tree'> {
  const key = JSON.parse(readFileSync(join(directory, 'device', 'key.json'), 'utf8')) as { deviceId: string }
  return { stored: key.deviceId, tree: treeOf(directory) }
}

function answersIn(stdout: string): readonly Answer[] {
  const lines = stdout.split('\n').filter(line => line !== '' && !line.startsWith('ready'))
  return lines.map(line => JSON.parse(line) as Answer)
}

let races: Promise<readonly Round[]> | undefined

/** Every round of this race: one id, one creator, no error, and nothing but the key left behind. */
async function expectOneIdentity(race: Race): Promise<readonly Round[]> {
  races ??= runRaces()
  const rounds = (await races).filter(round => round.race === race)
  expect(rounds).toHaveLength(raceRounds)
  for (const { answers, stored, tree } of rounds) {
    expect(answers).toHaveLength(RACES[race].takePart)
    expect(answers.filter(answer => answer.id === undefined)).toEqual([])
    expect(new Set(answers.map(answer => answer.id))).toEqual(new Set([stored]))
    expect(answers.filter(answer => answer.created)).toHaveLength(1)
    expect(tree).toEqual(['device', join('device', 'key.json')])
  }
  return rounds
}

describe('first start', () => {
  test(`F01 F26 C15: ${raceProcesses} processes that start together get one id, and exactly one created it`, async () => {
    await expectOneIdentity('together')
  })

  test('F26: 16 processes that call openIdentitySync at once all get the one identity, within ten seconds', async () => {
    for (const { answers } of await expectOneIdentity('synchronously')) {
      for (const { tookMs } of answers) expect(tookMs).toBeLessThan(10_000)
    }
  })

  test(`F01 F02 F20: the same with the lock taken out, since nothing relies on it: of two processes and of ${raceProcesses}`, async () => {
    await expectOneIdentity('withoutLock')
    await expectOneIdentity('twoWithoutLock')
  })

  test('F01 C15: the race is real: without lock and publish step, processes disagree (negative control)', async () => {
    let disagreed = false
    for (let round = 0; round < 10 && !disagreed; round++) {
      const directory = join(freshFolder(), 'state')
      const outcomes = await startTogether(unguarded, 24, () => ({ args: [directory] }))
      const answers = outcomes.map(({ answer }) => answer as Answer)
      disagreed =
        new Set(answers.map(answer => answer.id)).size > 1 ||
        answers.filter(answer => answer.created).length > 1
    }
    expect(disagreed).toBe(true)
  })
})
