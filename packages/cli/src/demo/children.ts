import { once } from 'node:events'
import process from 'node:process'
import { createInterface } from 'node:readline'
import type { DeviceIdentity } from '@holdfast/identity'
import { spawnAgent } from '@holdfast/spawner'
import type { DemoReport } from '../commands/demo-child.ts'

/**
 * Start so many children of one identity at once, and hand over each line that they report.
 * Resolves when the last of them has ended.
 */
export async function runChildren(
  identity: DeviceIdentity,
  count: number,
  app: string,
  onReport: (report: DemoReport) => void,
): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, (_, number) => runChild(identity, number + 1, app, onReport)),
  )
}

async function runChild(
  identity: DeviceIdentity,
  number: number,
  app: string,
  onReport: (report: DemoReport) => void,
): Promise<void> {
  const script = process.argv[1] ?? ''
  const words = [...process.execArgv, script, 'demo-child', '--number', String(number), '--app', app]
  const child = spawnAgent(process.execPath, words, { identity, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  if (child.stdout !== null) {
    for await (const line of createInterface({ input: child.stdout }))
      onReport(JSON.parse(line) as DemoReport)
  }
  await ended
}
