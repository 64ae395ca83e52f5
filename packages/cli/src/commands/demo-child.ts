import process from 'node:process'
import { createEphemeralIdentity } from '@holdfast/identity'
import { type ConnectOptions, connectToGateway, isSpawnerError } from '@holdfast/spawner'
import { ticksMs } from '../clock.ts'
import { DEMO_SCOPES, type DemoReport, permutation } from '../demo/reports.ts'

export interface DemoChildOptions {
  readonly number: number
  readonly app: string
  /** Make a key of its own and connect once, as programs do without Holdfast. */
  readonly ownKey?: boolean
  /** Connect by the right that was handed down, with all that it gives. */
  readonly delegated?: boolean
}

/**
 * A child of the demonstration: it knows nothing but what it inherited, and connects once for each scope, in an order of
 * its own. Resolves to the exit code.
 */
export async function demoChild(options: DemoChildOptions): Promise<number> {
  if (options.delegated) return say(await connectOnce({ reconnect: false }))
  const { app, number } = options
  const scopes = options.ownKey ? DEMO_SCOPES.slice(0, 1) : permutation(DEMO_SCOPES, number)
  const identity = options.ownKey ? createEphemeralIdentity() : undefined
  let exitCode = 0
  for (const scope of scopes) {
    const report = await connectOnce({ app, identity, role: 'operator', scopes: [scope], reconnect: false })
    if (say(report) === 1) exitCode = 1
  }
  return exitCode
}

/** Prints the report, and gives the exit code for it. */
function say(report: DemoReport): 0 | 1 {
  process.stdout.write(`${JSON.stringify(report)}\n`)
  return report.outcome === 'failed' ? 1 : 0
}

async function connectOnce(options: ConnectOptions): Promise<DemoReport> {
  const startedMs = ticksMs()
  try {
    const connection = await connectToGateway(options)
    const ms = ticksMs() - startedMs
    await connection.close()
    return { outcome: 'admitted', deviceId: connection.deviceId, ms }
  } catch (error) {
    return { outcome: 'failed', deviceId: options.identity?.id ?? null, reason: reasonOf(error) }
  }
}

function reasonOf(error: unknown): string {
  if (isSpawnerError(error, 'ADMISSION_REFUSED')) return error.detail.refusal ?? error.code
  if (error instanceof Error) return 'code' in error ? String(error.code) : error.message
  return String(error)
}
