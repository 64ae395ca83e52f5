import { join } from 'node:path'
import { SECRET_MODE } from './internal/create-key.ts'
import { DEFAULT_LOCK_TIMEOUT_MS, waitForLock } from './internal/creation-lock.ts'
import { prepareStateDirectory } from './internal/durable-files.ts'
import { checkDirectory, readOwned } from './internal/private-file.ts'
import { type PrivatePath, splitPrivatePath } from './internal/private-path.ts'
import { clearLeftovers, MOST_ATTEMPTS, occupiedBy, publishDirectory } from './internal/publish-once.ts'
import { replaceFile } from './internal/replace-file.ts'
import { chooseLocation, type LocationOptions, type StateLocation } from './internal/state-location.ts'
import { runAsync } from './internal/steps.ts'
import { readSurroundings } from './internal/surroundings.ts'

export { type GatewayNote, readGatewayNote, readGatewayNoteSync, writeGatewayNote } from './gateway-note.ts'
export type { PrivatePath } from './internal/private-path.ts'
export { quoted as shellWord } from './internal/shell-words.ts'
export type { LocationOptions, StateLocation } from './internal/state-location.ts'

/**
 * Where an install keeps its state, by the options and this process's environment. Absolute paths; the state itself is
 * neither made nor looked at.
 *
 * @throws {@link IdentityError} `STATE_LOCATION_INVALID`
 */
export function locateState(options: LocationOptions): StateLocation {
  return chooseLocation(options, readSurroundings())
}

/**
 * The bytes of a private file of the state directory, or `null` where there is none. Checked as a key file is: no links,
 * this user's own, nobody else's to read or write.
 *
 * @throws {@link IdentityError} `KEY_FILE_EXPOSED`, `KEY_FILE_FOREIGN`, `KEY_FILE_LINKED`, `KEY_FILE_UNREADABLE`, and
 * `KEY_FILE_DAMAGED` for what is no file, or longer than 64 KiB.
 */
export async function readPrivateFile(
  location: StateLocation,
  path: PrivatePath,
): Promise<Uint8Array | null> {
  const { folder, file } = splitPrivatePath(path)
  return readOwned(location.directory, folder, file, SECRET_MODE, readSurroundings())
}

/** Where the gateway token lies: published with {@link publishOnce}, rotated with {@link replacePrivateFile}. */
export const GATEWAY_TOKEN: PrivatePath = 'gateway-token/token'

/**
 * The gateway token of a state directory, or `null` where no gateway ever made one. What editors leave around a text (a
 * byte order mark, blanks, line ends) is not part of it. Whether it is one that can be sent is for the caller to check.
 *
 * @throws {@link IdentityError} as {@link readPrivateFile} does
 */
export async function readGatewayToken(location: StateLocation): Promise<string | null> {
  const bytes = await readPrivateFile(location, GATEWAY_TOKEN)
  if (bytes === null) return null
  const text = Buffer.from(bytes).toString('utf8')
  return text.replace(/^\uFEFF/, '').replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '')
}

/**
 * Publish a private file exactly once, as an install's key is: of any number of callers in any number of processes one
 * gets `true`; the others get `false`, and then {@link readPrivateFile} gives what the one has written. The file is on
 * disk, whole, when this resolves. The state directory is made where it is missing.
 *
 * @throws {@link IdentityError} `KEY_DIRECTORY_OCCUPIED`: the folder is there, with other things in it but not the file.
 * @throws {@link IdentityError} `STATE_NOT_WRITABLE`, and what {@link readPrivateFile} throws.
 */
export async function publishOnce(
  location: StateLocation,
  path: PrivatePath,
  bytes: Uint8Array,
): Promise<boolean> {
  const { folder, file } = splitPrivatePath(path)
  const owner = readSurroundings()
  const stateDirectory = prepareStateDirectory(location.directory, owner)
  const place = { stateDirectory, folder, file, owner }
  for (let attempt = 1; ; attempt++) {
    if (readOwned(location.directory, folder, file, SECRET_MODE, owner) !== null) return false
    clearLeftovers(stateDirectory, folder)
    if (await runAsync(publishDirectory(place, bytes))) return true
    const occupied = occupiedBy(join(location.directory, folder), file, attempt === MOST_ATTEMPTS)
    if (occupied !== null) throw occupied
  }
}

/**
 * Put new bytes in the place of a private file that was published before. A reader sees the old ones or the new ones; the
 * new ones are on disk when this resolves. Where Windows refuses because somebody has the file open, it tries for 2 s.
 *
 * @returns whether there was a file to replace; where there was none, nothing is written: {@link publishOnce} does that
 * @throws {@link IdentityError} `STATE_NOT_WRITABLE`, and what {@link readPrivateFile} throws.
 */
export async function replacePrivateFile(
  location: StateLocation,
  path: PrivatePath,
  bytes: Uint8Array,
): Promise<boolean> {
  const { folder, file } = splitPrivatePath(path)
  const owner = readSurroundings()
  if (readOwned(location.directory, folder, file, SECRET_MODE, owner) === null) return false
  const directory = join(prepareStateDirectory(location.directory, owner), folder)
  if (!checkDirectory(directory, owner)) return false
  await runAsync(replaceFile(directory, file, bytes, owner))
  return true
}

/** How long to wait for an install's lock. */
export interface InstallLockOptions {
  /** In ms; afterwards the action runs without the lock. 0 takes none. @defaultValue 3000 */
  readonly timeoutMs?: number | undefined
  /** Ends the waiting; the call rejects with the signal's reason. @defaultValue none */
  readonly signal?: AbortSignal | undefined
}

/** What an action under the install's lock can ask. */
export interface InstallLock {
  /** Whether this process holds the lock now: false where it waited too long, or slept until somebody took it over. */
  readonly held: boolean
}

/**
 * Do something while holding the lock of this install. The lock spares work, so that a hundred processes do not all do the
 * same thing at once; it cannot be relied on for more: its holder may sleep, and after `timeoutMs` the action runs
 * without it. A lock that was lost or cannot be given back fails nothing.
 *
 * @throws {@link IdentityError} `STATE_NOT_WRITABLE` where the state directory is missing and cannot be made; and whatever
 * the action throws.
 */
export async function withInstallLock<Result>(
  location: StateLocation,
  action: (lock: InstallLock) => Promise<Result>,
  options: InstallLockOptions = {},
): Promise<Result> {
  const directory = prepareStateDirectory(location.directory, readSurroundings())
  const lock = await runAsync(
    waitForLock(directory, options.timeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS, () => false),
    options.signal,
  )
  try {
    return await action(lock ?? { held: false })
  } finally {
    lock?.release()
  }
}
