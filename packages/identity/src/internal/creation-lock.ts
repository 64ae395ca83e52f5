import { randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from './errno.ts'
import type { Steps } from './steps.ts'
import { readClock, readStopwatch } from './surroundings.ts'

/** The lock of one install. It spares work; nothing relies on it, since a lock with a stale rule can have two holders. */
export interface HeldLock {
  /** False once somebody else took the lock over, after this process slept. */
  readonly held: boolean
  /** Give it back. Never throws: what cannot be removed goes stale. */
  release(): void
}

/** Shorter than the default lock timeout, so that a dead holder's lock is taken over rather than waited out. */
const STALE_MS = 2_500
const UPDATE_MS = 1_000

/** How long callers wait for it unless they say otherwise. */
export const DEFAULT_LOCK_TIMEOUT_MS = 3_000

/**
 * Try once: the lock, `busy` where somebody holds it, `unavailable` where there can be none (a read-only place).
 *
 * The lock is a directory with one file in it, named at random by its holder, who touches the directory while it lives.
 * No signal or exit handler gives it back, as those of lock libraries do: a library must not decide how its host ends.
 * A lock whose holder died goes stale instead.
 */
export function tryLock(stateDirectory: string): HeldLock | 'busy' | 'unavailable' {
  const lock = join(stateDirectory, 'install.lock')
  try {
    mkdirSync(lock, { mode: 0o700 })
  } catch (error) {
    // Windows answers in one of these ways while a lock is being removed.
    const taken = ['EEXIST', 'EPERM', 'EACCES', 'EBUSY'].includes(errnoOf(error) ?? '')
    if (!taken || !existsSync(lock)) return errnoOf(error) === 'EEXIST' ? 'busy' : 'unavailable'
    if (isStale(lock)) clear(lock)
    return 'busy'
  }
  const mark = join(lock, randomBytes(8).toString('hex'))
  try {
    writeFileSync(mark, '', { flag: 'wx', mode: 0o600 })
  } catch {
    return 'busy' // Cleared under our hands, by somebody who slept over our making it.
  }
  return new Holding(lock, mark)
}

class Holding implements HeldLock {
  readonly #lock: string
  readonly #mark: string
  readonly #heartbeat: NodeJS.Timeout
  #released = false

  constructor(lock: string, mark: string) {
    this.#lock = lock
    this.#mark = mark
    this.#heartbeat = setInterval(() => this.#touch(), UPDATE_MS)
    this.#heartbeat.unref()
  }

  get held(): boolean {
    return !this.#released && existsSync(this.#mark)
  }

  release(): void {
    clearInterval(this.#heartbeat)
    const { held } = this
    this.#released = true
    if (held) clear(this.#lock)
  }

  #touch(): void {
    if (!this.held) {
      clearInterval(this.#heartbeat)
      return
    }
    const nowSeconds = readClock() / 1_000
    try {
      utimesSync(this.#lock, nowSeconds, nowSeconds)
    } catch {
      return // Taken over in this very moment: `held` will say so.
    }
  }
}

/** Not touched for longer than a living holder lets pass; or touched in the future, after the clock was set back. */
function isStale(lock: string): boolean {
  const touchedMs = lstatSync(lock, { throwIfNoEntry: false })?.mtimeMs
  return touchedMs !== undefined && Math.abs(readClock() - touchedMs) > STALE_MS
}

function clear(lock: string): void {
  try {
    for (const name of readdirSync(lock)) unlinkSync(join(lock, name))
    rmdirSync(lock)
  } catch {
    return // Cleared by somebody else, or held open: it goes stale.
  }
}

/**
 * The lock, or `null` where there can be none, the time is up, or `isDone` says that nobody needs it any more. None of
 * these is a failure. No time is no attempt.
 */
export function* waitForLock(
  stateDirectory: string,
  timeoutMs: number,
  isDone: () => boolean,
  attempt: typeof tryLock = tryLock,
): Steps<HeldLock | null> {
  const endMs = readStopwatch() + timeoutMs
  while (readStopwatch() < endMs) {
    const lock = attempt(stateDirectory)
    if (lock === 'unavailable') return null
    if (lock !== 'busy') return lock
    if (isDone()) return null
    yield 5 + Math.random() * 20
  }
  return null
}
