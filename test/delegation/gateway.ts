import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type GateEvent, type RunningGateway, startGateway } from '@holdfast/gateway'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { connectToGateway, type DelegatedChildOptions, spawnAgent } from '@holdfast/spawner'
import { onTestFinished } from 'vitest'
import { programPath } from '../support/processes.ts'

export const CEILING = [
  'operator.read',
  'operator.write',
  'operator.approvals',
  'operator.questions',
  'operator.talk',
]

export interface Install {
  readonly directory: string
  readonly gateway: RunningGateway
  readonly store: PairingStore
  /** The device, which is registered. */
  readonly identity: DeviceIdentity
  readonly events: GateEvent[]
}

/** An install with a real gateway and one registered device, for as long as the test lasts. */
export async function startInstall(
  options: Partial<Parameters<typeof startGateway>[0]> = {},
): Promise<Install> {
  const directory = await mkdtemp(join(tmpdir(), 'delegation-'))
  const { clock } = options
  const path = join(directory, 'store.sqlite')
  const store = await openSqliteStore({ path, ...(clock !== undefined && { clock: () => clock.nowMs() }) })
  const gateway = await startGateway({ directory, store, trustedLocal: { ceiling: CEILING }, ...options })
  const events: GateEvent[] = []
  gateway.gate.onEvent(event => events.push(event))
  onTestFinished(async () => {
    await gateway.close()
    await store.close()
    await rm(directory, { recursive: true, force: true })
  })
  const identity = await openIdentity({ directory })
  const first = await connectToGateway({ directory, identity, role: 'operator', scopes: [] })
  await first.close()
  return { directory, gateway, store, identity, events }
}

/** A child program, run from the sources. */
export function program(name: string): readonly string[] {
  return [
    '--conditions=source',
    '--no-warnings',
    programPath(new URL(`programs/${name}.ts`, import.meta.url)),
  ]
}

export interface Child {
  readonly process: ChildProcess
  /** What it reported, a line at a time; the generator ends with its output. */
  readonly reports: AsyncIterableIterator<Record<string, unknown>>
  next(): Promise<Record<string, unknown>>
  all(): Promise<Record<string, unknown>[]>
  kill(): void
}

/** A child with a right of its own. */
export function startChild(args: readonly string[], options: DelegatedChildOptions): Child {
  const child = spawnAgent(process.execPath, [...program('child'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...options,
  })
  return reporting(child)
}

export function reporting(child: ChildProcess): Child {
  onTestFinished(() => void child.kill('SIGKILL'))
  if (child.stdout === null) throw new Error('a child that cannot report')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const reports: AsyncIterableIterator<Record<string, unknown>> = {
    [Symbol.asyncIterator]: () => reports,
    next: async () => {
      const { done, value } = await lines.next()
      return done === true ? { done, value: undefined } : { done: false, value: JSON.parse(value) }
    },
  }
  return {
    process: child,
    reports,
    next: async () => {
      const { done, value } = await reports.next()
      if (done === true) throw new Error('the child ended without another report')
      return value
    },
    all: async () => {
      const all: Record<string, unknown>[] = []
      for await (const report of reports) all.push(report)
      return all
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
