import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { programPath } from '../support/processes.ts'
import { attempt } from './raw-client.ts'

/** How long a ping may take at the most. */
const LIMIT_MS = 100
/**
 * How long the command line holds the lock, round by round. A machine that is busy with other things delays a ping as well,
 * now and then; what the lock delays it delays each time. So there is one round in which no ping is late, or it is the lock.
 */
const HELD_MS = [3_000, 1_000, 1_000, 1_000, 1_000]

let directory: string
const children: ChildProcess[] = []

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'holdfast-store-lock-')), 'state')
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await rm(join(directory, '..'), { recursive: true, force: true })
})

/** A program of the tests, once it has said its first line. */
async function run(program: string, ...args: readonly string[]) {
  const path = programPath(new URL(`programs/${program}`, import.meta.url))
  const child = spawn(process.execPath, ['--conditions=source', '--no-warnings', path, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const closed = once(child, 'close')
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const nextLine = async (): Promise<string> => {
    const line = await lines.next()
    if (line.done) throw new Error(`${program} ended before it said more`)
    return line.value
  }
  return {
    said: await nextLine(),
    nextLine,
    /** Ends its standard input, and waits until it ended. */
    async release() {
      child.stdin.end()
      await closed
    },
  }
}

/** The lock of this store, held by another process. */
async function holdLock(store: string) {
  const holder = await run('hold-store.ts', store)
  expect(holder.said).toBe('holding')
  return holder
}

/** How long each ping of this socket took until the other side answered, from now until `stop`. */
function measurePings(socket: WebSocket) {
  const delays: number[] = []
  let stopped = false
  const dropped = new AbortController()
  socket.once('close', () => dropped.abort())
  const measured = (async () => {
    while (!stopped) {
      expect(socket.readyState).toBe(WebSocket.OPEN)
      // One at a time: `ws` drops a peer with many unanswered pings, which would end the measurement, not finish it.
      const sentAtMs = performance.now()
      const answered = once(socket, 'pong', { signal: dropped.signal })
      socket.ping()
      await answered
      delays.push(performance.now() - sentAtMs)
      await wait(20)
    }
  })()
  measured.catch(() => undefined)
  return {
    async stop() {
      stopped = true
      await measured
      return { longestMs: Math.max(...delays), pings: delays.length }
    },
  }
}

describe('a command line that holds the write lock for 3 s', () => {
  test('delays no ping of a live socket by 100 ms, though others wait to be registered; these are let in afterwards', async () => {
    const { said } = await run('gateway.ts', directory)
    const { url } = JSON.parse(said) as { url: string }
    const token = readFileSync(join(directory, 'gateway-token', 'token'), 'utf8')
    const { peer } = await attempt(url, { identity: createEphemeralIdentity(), token })
    const longest: number[] = []
    for (const heldMs of HELD_MS) {
      const holder = await holdLock(join(directory, 'store.sqlite'))
      const pings = measurePings(peer.socket)
      await wait(heldMs / 2)
      let letIn = 0
      const waiting = Array.from({ length: 5 }, async () => {
        const { hello } = await attempt(url, { identity: createEphemeralIdentity(), token })
        if (hello !== null) letIn += 1
      })
      await wait(heldMs / 2)
      expect(letIn).toBe(0)
      const measured = await pings.stop()
      await holder.release()
      await Promise.all(waiting)
      expect(letIn).toBe(5)
      expect(measured.pings).toBeGreaterThan(1)
      longest.push(measured.longestMs)
      if (measured.longestMs < LIMIT_MS) break
    }
    expect(Math.min(...longest)).toBeLessThan(LIMIT_MS)
  })

  test('control: it delays them as long as it is held where SQLite itself waits', async () => {
    const path = join(directory, 'store.sqlite')
    await (await openSqliteStore({ path })).close()
    const gateway = await run('waiting-gateway.ts', path)
    const { url } = JSON.parse(gateway.said) as { url: string }
    const socket = new WebSocket(url)
    await once(socket, 'open')
    const holder = await holdLock(path)
    new WebSocket(url).on('error', () => undefined)
    expect(await gateway.nextLine()).toBe('waiting')
    const pings = measurePings(socket)
    await wait(3 * LIMIT_MS)
    const measured = pings.stop()
    await holder.release()
    expect((await measured).longestMs).toBeGreaterThan(2 * LIMIT_MS)
    socket.terminate()
  })
})
