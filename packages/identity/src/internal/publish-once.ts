import { randomBytes } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { IdentityError } from '../errors.ts'
import { notWritable, syncDirectory, writeDurably } from './durable-files.ts'
import { errnoOf } from './errno.ts'
import { isHeldOpen, WINDOWS_BUDGET_MS } from './held-open.ts'
import type { Owner } from './private-file.ts'
import { quoted } from './shell-words.ts'
import type { Steps } from './steps.ts'
import { readClock, readStopwatch } from './surroundings.ts'
import { protectDirectory } from './windows-access.ts'

/** A file that is published as the only file of a directory of its own. */
export interface PublishedPlace {
  /** The state directory: real, and there. */
  readonly stateDirectory: string
  /** The directory that is published, directly inside the state directory. */
  readonly folder: string
  readonly file: string
  readonly owner: Owner
}

/** What was not touched for so long was left by a process that died, or sleeps so deep that it will begin anew. */
export const LEFTOVER_AGE_MS = 60_000
/** More often than that, nobody loses a race: something else is wrong. */
export const MOST_ATTEMPTS = 20

/**
 * Publish these bytes, once. Returns whether they were published by this call; if not, the place is taken, and what is
 * there was not touched.
 *
 * The complete file is written and synced in a private directory, and that directory is renamed onto the place. The
 * system refuses the rename where the place is a directory with something in it, so of any number of callers one wins,
 * with or without a lock, and nobody ever sees half a file.
 */
export function* publishDirectory(place: PublishedPlace, bytes: Uint8Array): Steps<boolean> {
  const { stateDirectory, folder, file, owner } = place
  for (let attempt = 1; ; attempt++) {
    const own = join(stateDirectory, `.${folder}.${randomBytes(8).toString('hex')}`)
    let published = false
    try {
      mkdirSync(own, { mode: 0o700 })
      protectDirectory(own, owner)
      writeDurably(join(own, file), bytes, owner)
      syncDirectory(own, owner)
      published = yield* renameOnto(own, place)
      if (published) syncDirectory(stateDirectory, owner)
      return published
    } catch (error) {
      // Somebody took a process that slept for a dead one, and cleared its private directory: make another.
      if (errnoOf(error) !== 'ENOENT' || attempt === MOST_ATTEMPTS)
        throw notWritable(stateDirectory, owner, error)
    } finally {
      if (!published) discard(own)
    }
    yield 5
  }
}

/**
 * Clear the private directories of creators that died. One is first renamed, so that its creator, if it only slept, finds
 * it gone and makes another, rather than publish a directory that was emptied under its hands.
 */
export function clearLeftovers(stateDirectory: string, folder: string): void {
  const leftover = new RegExp(`^\\.${folder}\\.[0-9a-f]{16}(\\.left)?$`)
  for (const name of namesIn(stateDirectory)) {
    const path = join(stateDirectory, name)
    if (!leftover.test(name) || !isAged(path)) continue
    const claimed = name.endsWith('.left') ? path : `${path}.left`
    try {
      if (claimed !== path) renameSync(path, claimed)
    } catch {
      continue // Published or cleared meanwhile.
    }
    discard(claimed)
  }
}

function* renameOnto(own: string, place: PublishedPlace): Steps<boolean> {
  const target = join(place.stateDirectory, place.folder)
  const endMs = readStopwatch() + WINDOWS_BUDGET_MS
  for (;;) {
    // Windows refuses to rename even onto an empty directory. One that is not empty stays.
    removeIfEmpty(target)
    try {
      renameSync(own, target)
      return true
    } catch (error) {
      const errno = errnoOf(error) ?? ''
      if (errno === 'ENOTEMPTY' || errno === 'EEXIST' || errno === 'ENOTDIR') return false
      if (!isHeldOpen(error, place.owner.platform)) throw error
      // There the same code says "taken" and "somebody has a file of it open": look, and try again for a while.
      if (isThere(join(target, place.file))) return false
      if (readStopwatch() > endMs) {
        if (isThere(target)) return false
        throw error
      }
    }
    yield 10
  }
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory)
  } catch {
    return // Not there, or not empty, or not ours to remove: the rename decides.
  }
}

function discard(directory: string): void {
  try {
    rmSync(directory, { recursive: true, force: true })
  } catch {
    return // The next creator clears it.
  }
}

function isAged(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() === true && readClock() - found.mtimeMs > LEFTOVER_AGE_MS
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** The error for a place that is taken by something that is not what belongs there; `null` while it may be free again. */
export function occupiedBy(
  directory: string,
  file: string,
  lastAttempt: boolean,
): IdentityError<'KEY_DIRECTORY_OCCUPIED'> | null {
  const entries = namesIn(directory)
  if (entries.includes(file) || (entries.length === 0 && !lastAttempt)) return null
  const fix = `Look at what lies there, and set it aside: mv ${quoted(directory)} ${quoted(`${directory}.aside`)}`
  return new IdentityError('KEY_DIRECTORY_OCCUPIED', { path: directory, entries, fix })
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort()
  } catch {
    return [] // Gone, not a directory, or not ours to list.
  }
}
