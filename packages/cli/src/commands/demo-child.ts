import process from 'node:process'
import { connectToGateway } from '@holdfast/spawner'
import { ticksMs } from '../clock.ts'

/** What a child of the demonstration asks for, one scope a connection. */
export const DEMO_SCOPES = [
  'operator.read',
  'operator.write',
  'operator.approvals',
  'operator.admin',
] as const

/** One line on a child's standard output: a connection that was admitted, or why it was not. */
export type DemoReport =
  | { readonly scope: string; readonly deviceId: string; readonly ms: number }
  | { readonly scope: string; readonly failed: string }

/**
 * A child of the demonstration: it knows nothing but what it inherited, and connects once for each scope, in an order of
 * its own. Resolves to the exit code.
 */
export async function demoChild(options: { readonly number: number; readonly app: string }): Promise<number> {
  let exitCode = 0
  for (const scope of permutation(DEMO_SCOPES, options.number)) {
    const report = await connectOnce(options.app, scope)
    if ('failed' in report) exitCode = 1
    process.stdout.write(`${JSON.stringify(report)}\n`)
  }
  return exitCode
}

async function connectOnce(app: string, scope: string): Promise<DemoReport> {
  const startedMs = ticksMs()
  try {
    const connection = await connectToGateway({ app, role: 'operator', scopes: [scope], reconnect: false })
    const ms = ticksMs() - startedMs
    await connection.close()
    return { scope, deviceId: connection.deviceId, ms }
  } catch (error) {
    return { scope, failed: error instanceof Error ? error.message : String(error) }
  }
}

/** The n-th order of a list: every number below 4! gives another order of four. */
export function permutation<T>(items: readonly T[], number: number): T[] {
  const left = [...items]
  const order: T[] = []
  for (let rest = number; left.length > 0; rest = Math.floor(rest / (left.length + 1))) {
    order.push(...left.splice(rest % left.length, 1))
  }
  return order
}
