import { setTimeout as wait } from 'node:timers/promises'
import { stopwatchMs } from './machine-clock.ts'
import type { SqliteConnection } from './sqlite-connection.ts'
import { busy, isBusy } from './sqlite-errors.ts'

/**
 * Longest pause between two attempts at a lock. A writer that has more to do takes it again at once: who looks seldom never
 * meets the moment between, and an attempt costs some µs.
 */
const LONGEST_PAUSE_MS = 5

/** How long somebody has been waiting, and may. */
export interface Deadline {
  readonly startedMs: number
  readonly busyTimeoutMs: number
}

/** Tries again while others are in the way. SQLite would wait inside the call; here the event loop runs on meanwhile. */
export async function retryWhileBusy<Result>(
  path: string,
  { startedMs, busyTimeoutMs }: Deadline,
  attempt: () => Result | Promise<Result>,
): Promise<Result> {
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await attempt()
    } catch (error) {
      if (!isBusy(error)) throw error
      const waitedMs = Math.round(stopwatchMs() - startedMs)
      if (waitedMs >= busyTimeoutMs) throw busy(path, waitedMs, error)
    }
    await wait(pauseMs * (0.5 + Math.random()))
  }
}

/** Runs `work` as the only writer, and commits; rolls back where it throws. */
export async function inTransaction<Result>(
  writer: SqliteConnection,
  work: () => Promise<Result>,
): Promise<Result> {
  writer.run('BEGIN IMMEDIATE')
  try {
    const result = await work()
    writer.run('COMMIT')
    return result
  } catch (error) {
    if (writer.inTransaction) writer.run('ROLLBACK')
    throw error
  }
}
