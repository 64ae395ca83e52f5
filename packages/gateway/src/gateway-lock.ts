import { chmodSync } from 'node:fs'
import { connect } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { type GatewayNote, readGatewayNote, type StateLocation } from '@holdfast/identity/state'
import { systemClock } from './clock.ts'
import { GatewayError } from './errors.ts'

const PATIENCE_MS = 5_000
const ANSWER_MS = 1_000
const SQLITE_BUSY = 5

/** Held for the life of a gateway; whatever happens to the process, the kernel frees it. */
export interface GatewayLock {
  release(): void
}

/**
 * The lock that one gateway holds per state directory. Two that reach for it in the same instant can both meet a busy
 * file, so the loser looks whether a gateway really answers, and tries again where none does.
 *
 * @throws {@link GatewayError} `GATEWAY_RUNNING`, `GATEWAY_LOCK_FAILED`
 */
export async function takeGatewayLock(location: StateLocation): Promise<GatewayLock> {
  const deadlineMs = systemClock.nowMs() + PATIENCE_MS
  for (;;) {
    const lock = tryLock(location.gatewayLock)
    if (lock !== null) return lock
    const note = await findAnsweringGateway(location)
    if (note !== null || systemClock.nowMs() >= deadlineMs) {
      const { pid, url } = note ?? { pid: null, url: null }
      throw new GatewayError('GATEWAY_RUNNING', { directory: location.directory, pid, url })
    }
    await new Promise(resolve => setTimeout(resolve, 20 + Math.random() * 60))
  }
}

// POSIX locks die when the process closes any descriptor of the file, so nothing but SQLite ever opens it: it is not
// created, read or looked into by other means.
function tryLock(path: string): GatewayLock | null {
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(path)
    database.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    chmodSync(path, 0o600)
    const held = database
    return { release: () => held.close() }
  } catch (error) {
    database?.close()
    if (isBusy(error)) return null
    throw new GatewayError('GATEWAY_LOCK_FAILED', { path }, { cause: error })
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY
}

/** The note of a gateway that accepts connections; a note whose gateway does not answer counts as absent. */
async function findAnsweringGateway(location: StateLocation): Promise<GatewayNote | null> {
  const note = await readGatewayNote(location)
  return note !== null && (await answers(note.url)) ? note : null
}

function answers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise(resolve => {
    const socket = connect({
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port),
      timeout: ANSWER_MS,
    })
    const settle = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once('connect', () => settle(true))
    socket.once('timeout', () => settle(false))
    socket.once('error', () => settle(false))
  })
}
