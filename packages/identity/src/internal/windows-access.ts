import { readFileSync, rmSync } from 'node:fs'
import { win32 } from 'node:path'
import { IdentityError } from '../errors.ts'
import { type AccessList, closingCommands, othersOn, parseSavedList, parseUserSid } from './access-list.ts'
import type { Owner } from './private-file.ts'
import { readSurroundings } from './surroundings.ts'

/** Runs one of Windows' own programs and gives what it prints. Throws where it cannot run or does not end with 0. */
export type RunSystemProgram = (name: 'icacls.exe' | 'whoami.exe', args: readonly string[]) => string

/** Close a new, empty directory on Windows, and what will be made in it; elsewhere its mode does that. */
export function protectDirectory(path: string, owner: Owner, run: RunSystemProgram = runProgram): void {
  if (owner.platform === 'win32') protect(path, 'directory', win32.join(path, 'access-list'), run)
}

/** Close a new, empty file on Windows; elsewhere its mode does that. */
export function protectFile(path: string, owner: Owner, run: RunSystemProgram = runProgram): void {
  if (owner.platform === 'win32') protect(path, 'file', `${path}.access-list`, run)
}

/**
 * Close a path and read back what came of it. Called before anything secret is in there.
 *
 * @throws {@link IdentityError} `ACCESS_LIST_OPEN`
 */
function protect(path: string, kind: 'file' | 'directory', scratch: string, run: RunSystemProgram): void {
  let list: AccessList | null
  let userSid: string | null
  try {
    userSid = readUserSid(run)
    for (const args of closingCommands(path, kind, userSid)) run('icacls.exe', args)
    list = readList(path, scratch, run)
  } catch (cause) {
    throw open(path, null, cause)
  }
  const others = list === null ? [] : othersOn(list, userSid)
  if (others.length > 0) throw open(path, others)
}

/** Who may do what with this path as Windows says it, or `null` where it does not say. */
export function readAccess(
  path: string,
  scratch: string,
  run: RunSystemProgram = runProgram,
): (AccessList & { readonly others: readonly string[] }) | null {
  try {
    const list = readList(path, scratch, run)
    const userSid = readUserSid(run)
    return list && { ...list, others: othersOn(list, userSid) }
  } catch {
    return null // No such program, or not allowed to look: it is not known, and nothing is made up.
  }
}

let ownSid: string | null | undefined

/** Asked once: the user of a process on Windows stays the same, and to start a program there takes long. */
function readUserSid(run: RunSystemProgram): string | null {
  if (run !== runProgram) return askForUserSid(run)
  if (ownSid === undefined) ownSid = askForUserSid(run)
  return ownSid
}

function askForUserSid(run: RunSystemProgram): string | null {
  return parseUserSid(run('whoami.exe', ['/user', '/fo', 'csv', '/nh']))
}

/** `/save` writes the list with SIDs; what `icacls` prints has names, in the language of the machine. */
function readList(path: string, scratch: string, run: RunSystemProgram): AccessList | null {
  try {
    run('icacls.exe', [path, '/save', scratch, '/q'])
    return parseSavedList(readFileSync(scratch))
  } catch (error) {
    if (error instanceof Error && 'syscall' in error && error.syscall === 'open') return null
    throw error
  } finally {
    rmSync(scratch, { force: true })
  }
}

/** By its full path, since a program of the same name may lie in a directory of the PATH. */
function runProgram(name: 'icacls.exe' | 'whoami.exe', args: readonly string[]): string {
  // Not imported: no process that only reads its key should load it.
  const { execFileSync } = process.getBuiltinModule('node:child_process')
  const systemRoot = readSurroundings().environment['SystemRoot'] ?? 'C:\\Windows'
  return execFileSync(win32.join(systemRoot, 'System32', name), [...args], {
    encoding: 'utf8',
    windowsHide: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

function open(
  path: string,
  others: readonly string[] | null,
  cause?: unknown,
): IdentityError<'ACCESS_LIST_OPEN'> {
  const fix = `See who has access, and whether the drive keeps access lists: icacls "${path}"`
  return new IdentityError('ACCESS_LIST_OPEN', { path, others, fix }, { cause })
}
