// A gateway with honest and hostile clients together, for so many minutes: what it uses, and how long the honest wait.
//   pnpm soak [--minutes N] [--json]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openIdentity } from '@holdfast/identity'
import { connectToGateway, type GatewayConnection } from '@holdfast/spawner'

const REPORT_MS = 10_000
/** Honest clients that stay and call, and those that come, call and go. */
const STAYING = 4
const COMING = 4
/** What may be left after the storm: a heap or buffers that grew by more are a leak. */
const GROWTH_BYTES = 32_000_000

interface Usage {
  readonly rss: number
  readonly heapUsed: number
  /** Buffers and the like, outside of the heap. */
  readonly external: number
  readonly descriptors: number
  readonly connections: number
  readonly admitted: number
  readonly refused: number
  readonly cut: number
  readonly faults: number
  readonly crashes: number
  /** How often for which reason a peer was refused or cut. */
  readonly reasons: Readonly<Record<string, number>>
}

/** A program of the soak that prints lines of JSON. */
class Part {
  readonly process
  readonly #lines: Interface
  readonly #ended: Promise<never>
  constructor(program: string, args: readonly string[]) {
    const file = fileURLToPath(new URL(`programs/${program}`, import.meta.url))
    const words = ['--conditions=source', '--no-warnings', '--expose-gc', file, ...args]
    this.process = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.process.stdout })
    this.#ended = once(this.process, 'exit').then(() => Promise.reject(new Error('it ended before its time')))
    // Only whoever waits for a line minds.
    this.#ended.catch(() => undefined)
  }
  async next<T>(): Promise<T> {
    const [line] = (await Promise.race([once(this.#lines, 'line'), this.#ended])) as [string]
    return JSON.parse(line) as T
  }
  ask<T>(line: string): Promise<T> {
    const answer = this.next<T>()
    this.process.stdin.write(`${line}\n`)
    return answer
  }
}

const honest = { connectMs: [] as number[], callMs: [] as number[], failures: new Map<string, number>() }
let stopped = false

async function timed(into: number[], act: () => Promise<unknown>): Promise<void> {
  const startedMs = performance.now()
  await act()
  into.push(performance.now() - startedMs)
}

/** An honest client's life, whose every failure counts: it is retried by the client itself before it is one. */
async function live(directory: string, stays: boolean): Promise<void> {
  const options = { directory, role: 'operator', scopes: ['operator.read'], connectTimeoutMs: 60_000 }
  let connection: GatewayConnection | null = null
  while (!stopped) {
    try {
      if (connection === null) {
        const startedMs = performance.now()
        connection = await connectToGateway(options)
        honest.connectMs.push(performance.now() - startedMs)
      }
      const current = connection
      await timed(honest.callMs, () => current.call('echo', { at: Date.now() }))
      if (!stays) {
        await current.close()
        connection = null
      }
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      honest.failures.set(code, (honest.failures.get(code) ?? 0) + 1)
      await connection?.close()
      connection = null
    }
    await wait(100)
  }
  await connection?.close()
}

function quantiles(values: readonly number[]): { p50: number; p99: number; most: number } {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (part: number) => Math.round((sorted[Math.floor(part * (sorted.length - 1))] ?? 0) * 10) / 10
  return { p50: at(0.5), p99: at(0.99), most: at(1) }
}

const megabytes = (bytes: number) => Math.round(bytes / 100_000) / 10

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, json: { type: 'boolean', default: false } },
})
const minutes = Number(values.minutes)
if (!(minutes > 0 && minutes <= 60)) throw new TypeError('--minutes is a number up to 60')
const say = (line: string) => {
  if (!values.json) console.log(line)
}

const directory = mkdtempSync(join(tmpdir(), 'holdfast-soak-'))
const gateway = new Part('gateway.ts', [directory])
try {
  const { port } = await gateway.next<{ port: number }>()
  await openIdentity({ directory })
  // The first connection registers the install; what it makes the gateway load is part of the base line.
  const first = await connectToGateway({ directory, role: 'operator', scopes: ['operator.read'] })
  await first.close()
  await wait(500)
  const before = await gateway.ask<Usage>('collect')
  const token = readFileSync(join(directory, 'gateway-token', 'token'), 'utf8').trim()
  const hostile = new Part('hostile.ts', [String(port), token])
  const lives = Array.from({ length: STAYING + COMING }, (_, index) => live(directory, index < STAYING))
  let peak = { rss: before.rss, descriptors: before.descriptors }
  const endMs = performance.now() + minutes * 60_000
  while (performance.now() < endMs) {
    await wait(Math.min(REPORT_MS, endMs - performance.now()))
    const now = await gateway.ask<Usage>('measure')
    peak = {
      rss: Math.max(peak.rss, now.rss),
      descriptors: Math.max(peak.descriptors, now.descriptors),
    }
    const connect = quantiles(honest.connectMs)
    const call = quantiles(honest.callMs)
    say(
      `${Math.ceil((endMs - performance.now()) / 1_000)} s left: ${megabytes(now.rss)} MB, ${now.descriptors} descriptors, ` +
        `${now.refused} refused, ${now.cut} cut; honest: ${honest.connectMs.length} connects p99 ${connect.p99} ms, ` +
        `${honest.callMs.length} calls p99 ${call.p99} ms`,
    )
  }
  const tally = hostile.next<Record<string, number>>()
  hostile.process.stdin.end()
  const sent = await tally
  stopped = true
  await Promise.all(lives)
  // What a hostile peer left open ends by the gate's own deadlines.
  let after = await gateway.ask<Usage>('collect')
  for (let tries = 0; tries < 60 && after.descriptors > before.descriptors; tries++) {
    await wait(500)
    after = await gateway.ask<Usage>('collect')
  }
  const report = {
    minutes,
    hostile: { peers: Object.values(sent).reduce((sum, count) => sum + count, 0), sent },
    gate: {
      admitted: after.admitted,
      refused: after.refused,
      cut: after.cut,
      faults: after.faults,
      reasons: after.reasons,
    },
    memoryMB: { before: megabytes(before.rss), peak: megabytes(peak.rss), after: megabytes(after.rss) },
    heapMB: { before: megabytes(before.heapUsed), after: megabytes(after.heapUsed) },
    buffersMB: { before: megabytes(before.external), after: megabytes(after.external) },
    descriptors: { before: before.descriptors, peak: peak.descriptors, after: after.descriptors },
    honest: {
      connects: honest.connectMs.length,
      connectMs: quantiles(honest.connectMs),
      calls: honest.callMs.length,
      callMs: quantiles(honest.callMs),
      failures: Object.fromEntries(honest.failures),
    },
  }
  const wrong = [
    after.descriptors > before.descriptors && 'descriptors were not given back',
    after.heapUsed - before.heapUsed > GROWTH_BYTES && 'the heap grew',
    after.external - before.external > GROWTH_BYTES && 'buffers were kept',
    after.faults + after.crashes > 0 && 'the gate reported faults',
    honest.failures.size > 0 && 'honest clients were failed',
    honest.connectMs.length === 0 && 'no honest client got in',
  ].filter(each => each !== false)
  console.log(JSON.stringify({ ...report, wrong }, null, values.json ? 0 : 2))
  process.exitCode = wrong.length === 0 ? 0 : 1
} finally {
  stopped = true
  gateway.process.stdin.end()
  if (gateway.process.exitCode === null) await once(gateway.process, 'exit')
  rmSync(directory, { recursive: true, force: true })
}
