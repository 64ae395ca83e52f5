import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { CommandError } from '../errors.ts'

/** A gateway in a process of its own, as `holdfast gateway --json` runs it. */
export interface GatewayProcess {
  readonly url: string
  readonly pid: number | undefined
  /** How many connections each rule admitted so far. */
  readonly admittedByRule: ReadonlyMap<string, number>
  stop(): Promise<void>
}

/**
 * Start a gateway for the demonstration, or `null` where one runs on this state directory already.
 *
 * @throws {@link CommandError} `DEMO_FAILED`: it ended before it listened.
 */
export async function startGatewayProcess(words: readonly string[]): Promise<GatewayProcess | null> {
  const script = process.argv[1] ?? ''
  const child = spawn(process.execPath, [...process.execArgv, script, 'gateway', '--json', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const first = await lines.next()
  const said = first.done ? {} : parse(first.value)
  if (typeof said['url'] !== 'string') {
    const code = said['error'] && (said['error'] as Record<string, unknown>)['code']
    if (code === 'GATEWAY_RUNNING') return null
    throw new CommandError('DEMO_FAILED', {
      reason: `the gateway did not start (${String(code ?? 'no word')})`,
    })
  }
  const admittedByRule = new Map<string, number>()
  void countEvents(lines, admittedByRule)
  return { url: said['url'], pid: child.pid, admittedByRule, stop: () => stop(child) }
}

async function countEvents(lines: AsyncIterator<string>, admittedByRule: Map<string, number>): Promise<void> {
  for (let line = await lines.next(); !line.done; line = await lines.next()) {
    const { event, rule } = parse(line.value)
    if (event === 'admitted') admittedByRule.set(String(rule), (admittedByRule.get(String(rule)) ?? 0) + 1)
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

function parse(line: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(line)
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
