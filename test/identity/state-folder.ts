import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
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
