import { randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from './errno.ts'
import { runSync, type Steps } from './steps.ts'
import { readClock, readProcessId, readStopwatch } from './surroundings.ts'

/** The lock of one install. It spares work; nothing relies on it, since a lock with a stale rule can have two holders. */
export interface HeldLock {
  /** False once somebody else took the lock over, after this process slept. */
  readonly held: boolean
  /** Give it back. Never throws: what cannot be removed goes stale. */
  release(): void
}

/** What one contender has seen of a lock that somebody else holds, and since when on its own stopwatch. */
export interface LockWatch {
  sign: string | null
  sinceMs: number
}

/** The lock's name in the state directory. */
export const LOCK_NAME = 'install.lock'

const MARK = /^[0-9a-f]{16}$/
const MOST_REMOVALS = 10
const BEAT_MS = 400
/** No sign of life for so long: the holder is dead, stopped or too slow to count. */
const SILENCE_MS = 1_800
/** A lock without a mark is being made or being given back, which takes no time. */
const UNMARKED_SILENCE_MS = 250
/** Beyond every clock's and file system's inaccuracy: nobody need watch such a lock before taking it over. */
export const LONG_DEAD_MS = 60_000

/** How long callers wait for it unless they say otherwise. */
export const DEFAULT_LOCK_TIMEOUT_MS = 3_000

/** A contender that has seen nothing yet. */
export function freshWatch(): LockWatch {
  return { sign: null, sinceMs: 0 }
}

/**
 * Try once: the lock, `busy` where somebody holds it, `unavailable` where there can be none (a read-only place).
 *
 * The lock is a directory with one file in it, the mark: named at random by its holder, who counts in it while it lives.
 * Whether a holder is alive is told by the mark changing while somebody looks, by the looker's own stopwatch: neither the
 * clocks of two machines, nor the coarse times of a file system, nor a process id that was given out again can mislead it.
 * A dead holder's mark is removed by its name, so that whoever was slow to remove it never removes another's.
 *
 * No signal or exit handler gives the lock back, as those of lock libraries do: a library must not decide how its host
 * ends. A lock whose holder died is taken over instead.
 */
export function tryLock(stateDirectory: string, watch: LockWatch): HeldLock | 'busy' | 'unavailable' {
  const lock = join(stateDirectory, LOCK_NAME)
  try {
    mkdirSync(lock, { mode: 0o700 })
  } catch (error) {
    // Windows answers in one of these ways while a lock is being removed.
    const taken = ['EEXIST', 'EPERM', 'EACCES', 'EBUSY'].includes(errnoOf(error) ?? '')
    if (!taken || !existsSync(lock)) return errnoOf(error) === 'EEXIST' ? 'busy' : 'unavailable'
    takeOverIfDead(lock, watch)
    return 'busy'
  }
  const mark = join(lock, randomBytes(8).toString('hex'))
  try {
    writeFileSync(mark, beat(0), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    // Removed under our hands, by somebody who slept over our making it; anything else is a disk that is full.
    if (errnoOf(error) === 'ENOENT') return 'busy'
    remove(lock, [mark])
    return 'unavailable'
  }
  return new Holding(lock, mark)
}

class Holding implements HeldLock {
  readonly #lock: string
  readonly #mark: string
  readonly #heart: NodeJS.Timeout
  #beats = 0
  #released = false

  constructor(lock: string, mark: string) {
    this.#lock = lock
    this.#mark = mark
    this.#heart = setInterval(() => this.#beat(), BEAT_MS)
    this.#heart.unref()
  }

  get held(): boolean {
    return !this.#released && existsSync(this.#mark)
  }

  release(): void {
    clearInterval(this.#heart)
    if (this.#released) return
    this.#released = true
    remove(this.#lock, [this.#mark])
  }

  #beat(): void {
    this.#beats += 1
    try {
      // Never makes the file: a mark that somebody removed must stay removed.
      writeFileSync(this.#mark, beat(this.#beats), { flag: 'r+' })
    } catch {
      clearInterval(this.#heart) // Taken over, or no more to be written: `held` says which.
    }
  }
}

/** Of one length, so that a beat leaves nothing of the one before. Who holds it is told to people; nothing decides on it. */
function beat(count: number): string {
  return `pid ${readProcessId()}, beat ${String(count).padStart(10, '0')}\n`
}

function takeOverIfDead(lock: string, watch: LockWatch): void {
  const marks = marksIn(lock)
  const sign = marks.map(mark => `${mark} ${contentOf(mark)}`).join()
  if (sign !== watch.sign) {
    watch.sign = sign
    watch.sinceMs = readStopwatch()
  }
  const silence = marks.length === 0 ? UNMARKED_SILENCE_MS : SILENCE_MS
  if (readStopwatch() - watch.sinceMs < silence && !isLongDead(lock, marks)) return
  remove(lock, marks)
}

/** Last touched long ago; or in the future, after a clock was set back. */
function isLongDead(lock: string, marks: readonly string[]): boolean {
  const times = [lock, ...marks].map(path => lstatSync(path, { throwIfNoEntry: false })?.mtimeMs)
  return times.every(time => time !== undefined && Math.abs(readClock() - time) > LONG_DEAD_MS)
}

function marksIn(lock: string): readonly string[] {
  try {
    // A link in its place leads to what is not ours; and nothing with another name than a mark's is ours to remove.
    if (lstatSync(lock).isSymbolicLink()) return []
    return readdirSync(lock)
      .filter(name => MARK.test(name))
      .sort()
      .map(name => join(lock, name))
  } catch {
    return [] // Given back meanwhile, or not a directory.
  }
}

function contentOf(mark: string): string {
  try {
    return readFileSync(mark, 'latin1')
  } catch {
    return '' // Given back meanwhile, or held open on Windows.
  }
}

/** Remove these marks, and the lock if nobody else has marked it since. */
function remove(lock: string, marks: readonly string[]): void {
  try {
    for (const mark of marks) runSync(removing(() => unlinkSync(mark)))
    runSync(
      removing(
        () => rmdirSync(lock),
        // Windows goes on to list a mark that somebody reads, though it was removed.
        () => marksIn(lock).some(mark => !marks.includes(mark)),
      ),
    )
  } catch {
    return // Removed or marked again by somebody else, or held open: it goes stale.
  }
}

/** Windows refuses, or only plans to, while a contender looks into it, which takes it a moment. */
function* removing(remove: () => void, isInUse: () => boolean = () => false): Steps<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      remove()
      return
    } catch (error) {
      const passing = ['EPERM', 'EACCES', 'EBUSY', 'ENOTEMPTY'].includes(errnoOf(error) ?? '')
      if (!passing || attempt === MOST_REMOVALS || isInUse()) throw error
    }
    yield 3 * attempt
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
  const watch = freshWatch()
  while (readStopwatch() < endMs) {
    const lock = attempt(stateDirectory, watch)
    if (lock === 'unavailable') return null
    if (lock !== 'busy') return lock
    if (isDone()) return null
    yield 5 + Math.random() * 20
  }
  return null
}
