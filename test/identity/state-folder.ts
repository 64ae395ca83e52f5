import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IdentityError, isIdentityError, openIdentity } from '@holdfast/identity'
import { onTestFinished } from 'vitest'

/** A fresh directory that is gone after the test. */
export function freshFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-identity-')))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** An install that has its identity: where, which file, whose, and the file's bytes. */
export async function installed(): Promise<{
  readonly directory: string
  readonly keyFile: string
  readonly id: string
  readonly bytes: Buffer
}> {
  const directory = join(freshFolder(), 'state')
  const { id } = await openIdentity({ directory })
  const keyFile = join(directory, 'device', 'key.json')
  return { directory, keyFile, id, bytes: readFileSync(keyFile) }
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
