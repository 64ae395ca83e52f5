import { mkdtempSync, readdirSync, realpathSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IdentityError, isIdentityError } from '@holdfast/identity'
import { onTestFinished } from 'vitest'

/** A fresh directory that is gone after the test. */
export function freshFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-identity-')))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Make the lock in this state directory look long forgotten, so that nobody need wait until it is. */
export function ageLock(directory: string): void {
  const lock = join(directory, 'install.lock')
  for (const name of readdirSync(lock)) utimesSync(join(lock, name), 1, 1)
  utimesSync(lock, 1, 1)
}

/** Every path below a directory, relative and sorted. */
export function treeOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
}

/** The typed error that an act ends with; fails where it ends otherwise. */
export async function failureOf(act: () => unknown): Promise<IdentityError> {
  try {
    await act()
  } catch (error) {
    if (isIdentityError(error)) return error
    throw error
  }
  throw new Error('expected a typed failure')
}
