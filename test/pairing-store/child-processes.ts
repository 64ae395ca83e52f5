import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { compileCache, programPath } from '../support/processes.ts'
import type { ChildOrders } from './children/store-child.ts'
import { until } from './contract/open-store.ts'

/** Rounds of a race: a few by default, more where there is time. */
export const ROUNDS = process.env['HOLDFAST_LONG'] ? 20 : 3

const SCRIPT = programPath(new URL('./children/store-child.ts', import.meta.url))

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** What a child told of one effect of its own. */
export interface Told {
  readonly kind: string
  readonly id: string
}

export interface StoreChild {
  readonly process: ChildProcess
  readonly lines: unknown[]
  /** Resolves with the exit code (or the signal), once everything that it told was read. */
  readonly ended: Promise<number | string | null>
}

export function startChild(
  orders: Partial<ChildOrders> & Pick<ChildOrders, 'task' | 'path' | 'barrier'>,
): StoreChild {
  const whole: ChildOrders = { token: '', index: 0, count: 1, shared: '', ...orders }
  const child = spawn(process.execPath, ['--conditions=source', SCRIPT, JSON.stringify(whole)], {
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.add(child)
  child.once('close', () => running.delete(child))
  const lines: unknown[] = []
  createInterface({ input: child.stdout }).on('line', line => {
    // The last line of a child that was killed may be half a line: nobody was told anything by it.
    if (line.endsWith('}') || line.endsWith('"')) lines.push(JSON.parse(line))
  })
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal)
  return { process: child, lines, ended }
}

/** Lets them go together, once all of them are ready. */
export async function release(children: readonly StoreChild[], barrier: string): Promise<void> {
  await until(() => children.every(each => each.lines[0] === 'ready'), 110_000)
  writeFileSync(barrier, '')
}

export function toldBy(children: readonly StoreChild[]): Told[] {
  return children.flatMap(each =>
    each.lines.filter((line): line is Told => typeof line === 'object' && line !== null),
  )
}
