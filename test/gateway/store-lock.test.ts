import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { attempt } from './raw-client.ts'

/** How long a command line holds the write lock, and how long a ping may take at the most, in ms. */
const HELD_MS = 3_000
const LIMIT_MS = 100
/**
 * A machine that is busy with other things delays a ping as well, now and then. What the lock delays it delays each time:
 * so there is one round in which no ping is late, or it is the lock.
 */
const MOST_ROUNDS = 5

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
  const path = fileURLToPath(new URL(`programs/${program}`, import.meta.url))
  const child = spawn(process.execPath, ['--conditions=source', '--no-warnings', path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { said: line.toString().trim(), ended: once(child, 'close') }
}

/** While the lock is held: the longest that a ping of this socket took, and how many there were. */
async function pingsUnderLock(socket: WebSocket, store: string, meanwhile: () => void) {
  const delays: number[] = []
  socket.on('pong', data => delays.push(performance.now() - Number(data.toString())))
  const { said, ended } = await run('hold-store.ts', store, String(HELD_MS))
  expect(said).toBe('holding')
  meanwhile()
  const timer = setInterval(() => socket.ping(String(performance.now())), 20)
  await ended
  clearInterval(timer)
  // A server that hung for so long may drop the socket with what it owes.
  const last = `${performance.now()}`
  const answered = new Promise<void>(resolve => {
    socket.on('pong', data => data.toString() === last && resolve())
    socket.once('close', () => resolve())
  })
  socket.ping(last)
  await answered
  socket.removeAllListeners('pong')
  return { longestMs: Math.max(...delays), pings: delays.length }
}

describe('a command line that holds the write lock for 3 s', () => {
  test('delays no ping of a live socket by 100 ms, though others wait to be registered; these are let in afterwards', async () => {
    const { said } = await run('gateway.ts', directory)
    const { url } = JSON.parse(said) as { url: string }
    const token = readFileSync(join(directory, 'gateway-token', 'token'), 'utf8')
    const { peer } = await attempt(url, { identity: createEphemeralIdentity(), token })
    const longest: number[] = []
    for (let round = 0; round < MOST_ROUNDS && !longest.some(ms => ms < LIMIT_MS); round += 1) {
      const waiting: Promise<Awaited<ReturnType<typeof attempt>>>[] = []
      const { longestMs, pings } = await pingsUnderLock(peer.socket, join(directory, 'store.sqlite'), () => {
        for (let each = 0; each < 5; each += 1) {
          waiting.push(attempt(url, { identity: createEphemeralIdentity(), token }))
        }
      })
      expect(pings).toBeGreaterThan(HELD_MS / 20 / 4)
      longest.push(longestMs)
      for (const each of await Promise.all(waiting)) expect(each.hello).not.toBeNull()
    }
    expect(Math.min(...longest)).toBeLessThan(LIMIT_MS)
  })

  test('control: it delays them in every round where SQLite itself waits', async () => {
    const path = join(directory, 'store.sqlite')
    await (await openSqliteStore({ path })).close()
    for (let round = 0; round < 2; round += 1) {
      const { said } = await run('waiting-gateway.ts', path)
      const { url } = JSON.parse(said) as { url: string }
      const socket = new WebSocket(url)
      await once(socket, 'open')
      const { longestMs } = await pingsUnderLock(socket, path, () =>
        new WebSocket(url).on('error', () => undefined),
      )
      expect(longestMs).toBeGreaterThan(LIMIT_MS)
      socket.terminate()
    }
  })
})
