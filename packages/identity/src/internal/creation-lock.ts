import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { errnoOf } from './errno.ts'
import type { Steps } from './steps.ts'
import { readStopwatch } from './surroundings.ts'

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

type Lockfile = typeof import('proper-lockfile')

/** Try once: the lock, `busy` where somebody holds it, `unavailable` where there can be none (a read-only place). */
export function tryLock(stateDirectory: string): HeldLock | 'busy' | 'unavailable' {
  let held = true
  try {
    const lockfile = createRequire(import.meta.url)('proper-lockfile') as Lockfile
    const release = lockfile.lockSync(stateDirectory, {
      lockfilePath: join(stateDirectory, 'install.lock'),
      realpath: false,
      stale: STALE_MS,
      update: UPDATE_MS,
      fs: privateFs,
      // The default throws out of a timer, which would end the host's process.
      onCompromised: () => {
        held = false
      },
    })
    return {
      get held() {
        return held
      },
      release: () => {
        held = false
        try {
          release()
        } catch {
          return // Lost meanwhile, or held open by somebody: it goes stale.
        }
      },
    }
  } catch (error) {
    return errnoOf(error) === 'ELOCKED' ? 'busy' : 'unavailable'
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

/** The lock is a directory: 0700 like every directory of ours, whatever the umask. */
const privateFs = { ...fs, mkdirSync: (path: string) => fs.mkdirSync(path, 0o700) }
