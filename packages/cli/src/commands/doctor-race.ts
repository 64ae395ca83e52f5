import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { CommandError } from '../errors.ts'
import type { Wiring } from '../wiring.ts'
import type { RaceReport } from './doctor-race-child.ts'

/** How a race ended. It was won by the library where there is one id, made once. */
export interface RaceResult {
  readonly processes: number
  readonly deviceIds: number
  readonly created: number
  readonly failed: number
  /** Where it was run: a directory on the disk of the state directory, removed afterwards. */
  readonly directory: string
}

/**
 * Let so many real processes open one identity at the same moment, in a directory of its own on the disk that the state
 * directory is on.
 *
 * @throws {@link CommandError} `RACE_LOST`: there was more than one id, more than one creator, or a failure.
 */
export async function race(wiring: Wiring, processes: number): Promise<RaceResult> {
  // Named as what creators leave: a race that is killed is found by the next doctor, and cleared.
  const name = `.race.${randomBytes(8).toString('hex')}`
  const directory = join(nearestDirectory(wiring.location.directory), name)
  mkdirSync(directory, { mode: 0o700 })
  try {
    const reports = await runTogether(join(directory, 'state'), join(directory, 'released'), processes)
    const result = {
      processes,
      deviceIds: new Set(reports.map(({ deviceId }) => deviceId).filter(id => id !== null)).size,
      created: reports.filter(({ created }) => created).length,
      failed: processes - reports.filter(({ deviceId }) => deviceId !== null).length,
    }
    if (result.deviceIds !== 1 || result.created !== 1 || result.failed !== 0)
      throw new CommandError('RACE_LOST', result)
    return { ...result, directory }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function runTogether(
  directory: string,
  barrier: string,
  processes: number,
): Promise<readonly RaceReport[]> {
  const children = Array.from({ length: processes }, () => startChild(directory, barrier))
  try {
    await Promise.all(children.map(({ ready }) => ready))
    writeFileSync(barrier, '')
    return (await Promise.all(children.map(({ report }) => report))).filter(report => report !== null)
  } finally {
    for (const { stop } of children) stop()
  }
}

interface RaceChild {
  readonly ready: Promise<void>
  readonly report: Promise<RaceReport | null>
  stop(): void
}

function startChild(directory: string, barrier: string): RaceChild {
  const words = ['race-child', '--directory', directory, '--barrier', barrier]
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  const ready = new Promise<void>(resolve => {
    const reader = createInterface({ input: child.stdout })
    reader.on('line', line => void (lines.push(line) === 1 && resolve()))
    child.once('close', () => resolve())
  })
  const report = once(child, 'close').then(() => {
    const line = lines[1]
    return line === undefined ? null : (JSON.parse(line) as RaceReport)
  })
  return { ready, report, stop: () => void child.kill('SIGKILL') }
}

function nearestDirectory(path: string): string {
  for (let at = path; ; at = dirname(at)) {
    if (lstatSync(at, { throwIfNoEntry: false })?.isDirectory() || at === dirname(at)) return at
  }
}
