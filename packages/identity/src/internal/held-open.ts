import { errnoOf } from './errno.ts'
import { runSync, type Steps } from './steps.ts'
import { readStopwatch } from './surroundings.ts'

/** How long what Windows refuses is tried again. Whoever holds a file for longer is not passing by. */
export const WINDOWS_BUDGET_MS = 2_000

/**
 * Whether this refusal may pass by itself: Windows refuses so what a reader, an indexer or a scanner has open at the
 * moment, and what is just being removed. Elsewhere nothing of the kind passes.
 */
export function isHeldOpen(error: unknown, platform: NodeJS.Platform): boolean {
  return platform === 'win32' && ['EPERM', 'EACCES', 'EBUSY'].includes(errnoOf(error) ?? '')
}

/** Do this, again and again where Windows refuses for the moment; blocks this thread meanwhile. */
export function patiently<Result>(act: () => Result, platform: NodeJS.Platform): Result {
  return platform === 'win32' ? runSync(tryAgain(act, platform)) : act()
}

function* tryAgain<Result>(act: () => Result, platform: NodeJS.Platform): Steps<Result> {
  const endMs = readStopwatch() + WINDOWS_BUDGET_MS
  for (;;) {
    try {
      return act()
    } catch (error) {
      if (!isHeldOpen(error, platform) || readStopwatch() > endMs) throw error
    }
    yield 10
  }
}
