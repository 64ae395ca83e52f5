import { once } from 'node:events'
import process from 'node:process'
import { createInterface } from 'node:readline'
import type { DeviceIdentity } from '@holdfast/identity'
import { spawnAgent } from '@holdfast/spawner'
import type { Wiring } from '../wiring.ts'
import { type DemoReport, scopeSet } from './reports.ts'

export interface ChildrenOptions {
  readonly identity: DeviceIdentity
  readonly count: number
  /** How many lines each child reports. */
  readonly connectionsEach: number
  readonly ownKeys: boolean
  /** Is each given a right of its own, with another set of scopes, instead of the install's key? @defaultValue false */
  readonly delegates?: boolean
}

/** Start so many children of one identity at once, show how far they are, and collect what they report. */
export async function runChildren(wiring: Wiring, options: ChildrenOptions): Promise<readonly DemoReport[]> {
  const { count, connectionsEach } = options
  const expected = count * connectionsEach
  const step = wiring.interactive ? 1 : Math.ceil(expected / 4)
  const reports: DemoReport[] = []
  const take = (report: DemoReport): void => {
    reports.push(report)
    if (reports.length % step !== 0 && reports.length !== expected) return
    wiring.progress(`${reports.length} of ${expected} connections`)
  }
  wiring.remark(
    `Starting ${count} child processes; each connects ${connectionsEach === 1 ? 'once' : `${connectionsEach} times`}`,
  )
  const flags = [
    ...['--app', wiring.location.app],
    ...(options.ownKeys ? ['--own-key'] : []),
    ...(options.delegates ? ['--delegated'] : []),
  ]
  await Promise.all(
    Array.from({ length: count }, (_, index) =>
      runChild(
        { identity: options.identity, ...(options.delegates && { scopes: scopeSet(index + 1) }) },
        ['--number', String(index + 1), ...flags],
        take,
      ),
    ),
  )
  wiring.progress(null)
  return reports
}

async function runChild(
  given: { readonly identity: DeviceIdentity; readonly scopes?: readonly string[] },
  words: readonly string[],
  take: (report: DemoReport) => void,
): Promise<void> {
  const script = process.argv[1] ?? ''
  const child = spawnAgent(process.execPath, [...process.execArgv, script, 'demo-child', ...words], {
    ...given,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'close')
  if (child.stdout !== null) {
    for await (const line of createInterface({ input: child.stdout })) take(JSON.parse(line) as DemoReport)
  }
  await ended
}
