import { randomBytes } from 'node:crypto'
import { lstatSync, readdirSync, renameSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { notWritable, syncDirectory, writeDurably } from './durable-files.ts'
import { errnoOf } from './errno.ts'
import { isHeldOpen, WINDOWS_BUDGET_MS } from './held-open.ts'
import type { Owner } from './private-file.ts'
import { LEFTOVER_AGE_MS } from './publish-once.ts'
import type { Steps } from './steps.ts'
import { readClock, readStopwatch } from './surroundings.ts'

const MOST_ATTEMPTS = 20

/**
 * Put these bytes in the place of a file, or make it: a reader sees the old ones or the new ones, and after a power cut
 * one of the two is there whole. The directory is real, and there.
 */
export function* replaceFile(directory: string, file: string, bytes: Uint8Array, owner: Owner): Steps<void> {
  clearReplacements(directory, file)
  for (let attempt = 1; ; attempt++) {
    const own = join(directory, `.${file}.${randomBytes(8).toString('hex')}`)
    let done = false
    try {
      writeDurably(own, bytes, owner)
      yield* renameOver(own, join(directory, file), owner)
      done = true
      syncDirectory(directory, owner)
      return
    } catch (error) {
      // Somebody took a process that slept for a dead one, and cleared its file: write another.
      if (done || errnoOf(error) !== 'ENOENT' || attempt === MOST_ATTEMPTS)
        throw notWritable(directory, owner, error)
    } finally {
      if (!done) remove(own)
    }
    yield 5
  }
}

function* renameOver(own: string, target: string, owner: Owner): Steps<void> {
  const endMs = readStopwatch() + WINDOWS_BUDGET_MS
  for (;;) {
    try {
      renameSync(own, target)
      return
    } catch (error) {
      if (!isHeldOpen(error, owner.platform) || readStopwatch() > endMs) throw error
    }
    yield 5 + Math.random() * 10
  }
}

/** Clear what writers that died have left of their replacements for this file. */
export function clearReplacements(directory: string, file: string): void {
  const prefix = `.${file}.`
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(prefix) || !/^[0-9a-f]{16}$/.test(name.slice(prefix.length))) continue
    const found = lstatSync(join(directory, name), { throwIfNoEntry: false })
    if (found?.isFile() && readClock() - found.mtimeMs > LEFTOVER_AGE_MS) remove(join(directory, name))
  }
}

function remove(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    return // Gone, or cleared by the next writer.
  }
}
