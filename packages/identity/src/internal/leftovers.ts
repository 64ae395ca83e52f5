import { lstatSync, readdirSync, readFileSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { LOCK_NAME, waitForLock } from './creation-lock.ts'
import type { Owner } from './private-file.ts'
import { clearLeftovers, LEFTOVER_AGE_MS } from './publish-once.ts'
import { clearReplacements } from './replace-file.ts'
import { runAsync } from './steps.ts'
import { readClock } from './surroundings.ts'

/** Something passing that still lies in a state directory. */
export interface Leftover {
  readonly path: string
  /**
   * `lock`: the install's lock; `unpublished`: the private directory of a creator; `replacement`: a file that was to take
   * the place of another; `set-aside`: what a reset renamed.
   */
  readonly kind: 'lock' | 'unpublished' | 'replacement' | 'set-aside'
  /** Null where the platform has no uids. */
  readonly ownerUid: number | null
  /** Since it was touched last, by this machine's clock. */
  readonly ageMs: number
  /** What the holder of a lock says about itself; nothing was decided on it. */
  readonly holder: string | null
  /** `live`: its process may still be at it; `dead`: it is not; `kept`: it was set aside on purpose. */
  readonly state: 'live' | 'dead' | 'kept'
  /** Whether removing it takes nothing from anybody. What was set aside holds a key, and is for its owner to delete. */
  readonly safeToRemove: boolean
}

const PRIVATE_DIRECTORY = /^\.([a-z][a-z0-9-]*)\.[0-9a-f]{16}(\.left)?$/
const REPLACEMENT = /^\.([a-z][a-z0-9.-]*)\.[0-9a-f]{16}$/
const SET_ASIDE = /^[a-z][a-z0-9-]*\.old-[0-9TZ]+$/
/** A living holder touches its lock several times a second; the rest is for coarse file times. */
const LOCK_SILENCE_MS = 10_000

/** Everything passing in this state directory, and in the directories of its private files. */
export function listLeftovers(stateDirectory: string, owner: Owner): readonly Leftover[] {
  const found: Leftover[] = []
  for (const name of namesIn(stateDirectory)) {
    const path = join(stateDirectory, name)
    const facts = lstatSync(path, { throwIfNoEntry: false })
    if (facts === undefined) continue
    const one = describe(path, name, facts, owner)
    if (one !== null) found.push(one)
    if (!facts.isDirectory() || !/^[a-z][a-z0-9-]*$/.test(name)) continue
    for (const inner of namesIn(path).filter(inner => REPLACEMENT.test(inner))) {
      const innerFacts = lstatSync(join(path, inner), { throwIfNoEntry: false })
      const innerOne = innerFacts && describe(join(path, inner), inner, innerFacts, owner)
      if (innerOne) found.push(innerOne)
    }
  }
  return found
}

/** Remove what is dead, each kind as the library itself would, and leave the rest. */
export async function clearDead(stateDirectory: string, leftovers: readonly Leftover[]): Promise<void> {
  for (const { path, kind, safeToRemove } of leftovers) {
    if (!safeToRemove) continue
    if (kind === 'lock') {
      // Whoever gets it within the time in which a dead holder's is given up has shown that nobody lived.
      const lock = await runAsync(waitForLock(stateDirectory, 2_500, () => false))
      lock?.release()
    } else if (kind === 'unpublished') {
      const folder = PRIVATE_DIRECTORY.exec(path.slice(stateDirectory.length + 1))?.[1]
      if (folder !== undefined) clearLeftovers(stateDirectory, folder)
    } else {
      const file = REPLACEMENT.exec(path.slice(join(path, '..').length + 1))?.[1]
      if (file !== undefined) clearReplacements(join(path, '..'), file)
    }
  }
}

function describe(path: string, name: string, facts: Stats, owner: Owner): Leftover | null {
  const kind = kindOf(name, facts)
  if (kind === null) return null
  const mark = kind === 'lock' ? newestMark(path) : null
  const ageMs = Math.max(0, Math.round(readClock() - Math.max(facts.mtimeMs, mark?.mtimeMs ?? 0)))
  const live = ageMs <= (kind === 'lock' ? LOCK_SILENCE_MS : LEFTOVER_AGE_MS)
  const state = kind === 'set-aside' ? 'kept' : live ? 'live' : 'dead'
  const ownerUid = owner.uid === null ? null : facts.uid
  return { path, kind, ownerUid, ageMs, holder: mark?.text ?? null, state, safeToRemove: state === 'dead' }
}

function kindOf(name: string, facts: Stats): Leftover['kind'] | null {
  if (name === LOCK_NAME) return 'lock'
  if (PRIVATE_DIRECTORY.test(name) && facts.isDirectory()) return 'unpublished'
  if (REPLACEMENT.test(name) && facts.isFile()) return 'replacement'
  return SET_ASIDE.test(name) ? 'set-aside' : null
}

function newestMark(lock: string): { readonly mtimeMs: number; readonly text: string } | null {
  try {
    const marks = readdirSync(lock).map(name => {
      const path = join(lock, name)
      return { mtimeMs: lstatSync(path).mtimeMs, text: readFileSync(path, 'utf8').slice(0, 80).trim() }
    })
    return marks.sort((left, right) => right.mtimeMs - left.mtimeMs)[0] ?? null
  } catch {
    return null // Given back meanwhile, or not a directory.
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort()
  } catch {
    return [] // Not there, or not ours to list: opening says which.
  }
}
