import { type DeviceIdentity, identityOver } from './device-identity.ts'
import { IdentityError } from './errors.ts'
import { createKey, type KeyPlace, readKey } from './internal/create-key.ts'
import { DEFAULT_LOCK_TIMEOUT_MS, tryLock } from './internal/creation-lock.ts'
import type { StoredKey } from './internal/key-file.ts'
import { publishDirectory } from './internal/publish-once.ts'
import { quoted } from './internal/shell-words.ts'
import { chooseLocation, type LocationOptions, type StateLocation } from './internal/state-location.ts'
import { runAsync, runSync, type Steps } from './internal/steps.ts'
import { readSurroundings } from './internal/surroundings.ts'

/** Which identity, and how long to wait for another process that makes it. `app` or `directory` is required. */
export interface IdentityOptions extends LocationOptions {
  /** The install's own identity, or the one of the gateway that runs on its state directory. @defaultValue `device` */
  readonly name?: 'device' | 'gateway' | undefined
  /**
   * How long a first start waits for the lock, in ms. Afterwards it goes on without: the lock spares work, and the key
   * is made exactly once either way. 0 takes no lock. @defaultValue 3000
   */
  readonly lockTimeoutMs?: number | undefined
  /** Ends the waiting of a first start; the call rejects with the signal's reason. @defaultValue none */
  readonly signal?: AbortSignal | undefined
}

/**
 * Open this install's identity, creating it the first time.
 *
 * Of any number of processes that start together, one creates the key and all get the same device id. An existing key is
 * only ever read: no lock, no write. A key that cannot be read is never replaced. Reading takes some synchronous calls on
 * one small file.
 *
 * @throws {@link IdentityError} `KEY_FILE_DAMAGED`, `KEY_FILE_EXPOSED`, `KEY_FILE_FOREIGN`, `KEY_FILE_LINKED`,
 * `KEY_FILE_UNREADABLE`: there is a key, and it cannot be used; it is left as it is.
 * @throws {@link IdentityError} `KEY_DIRECTORY_OCCUPIED`, `STATE_NOT_WRITABLE`, `KEY_SELF_TEST_FAILED`: there is no key,
 * and none can be made.
 * @throws {@link IdentityError} `STATE_LOCATION_INVALID`: the options or the environment name no place.
 * @throws {@link IdentityError} `IDENTITY_MISSING`, `IDENTITY_UNEXPECTED`: a parent handed down the place and the device
 * id, and the place does not hold that device's key. None is made.
 */
export async function openIdentity(options: IdentityOptions): Promise<DeviceIdentity> {
  options.signal?.throwIfAborted()
  const found = look(options)
  if (found.key !== null) return opened(found.key, false, found.location)
  const { key, created } = await runAsync(creation(found, options), options.signal)
  return opened(key, created, found.location)
}

/** {@link openIdentity} for hosts that cannot wait: the same promise, blocking this thread while it lasts. */
export function openIdentitySync(options: IdentityOptions): DeviceIdentity {
  options.signal?.throwIfAborted()
  const found = look(options)
  if (found.key !== null) return opened(found.key, false, found.location)
  const { key, created } = runSync(creation(found, options))
  return opened(key, created, found.location)
}

/**
 * This install's identity, or `null` where it has none yet. Never creates one, and never writes.
 *
 * @throws {@link IdentityError} as {@link openIdentity} does while reading.
 */
export async function findIdentity(options: IdentityOptions): Promise<DeviceIdentity | null> {
  options.signal?.throwIfAborted()
  const { key, location } = look(options)
  return key === null ? null : opened(key, false, location)
}

interface Found {
  readonly location: StateLocation
  readonly place: KeyPlace
  readonly key: StoredKey | null
}

function look(options: IdentityOptions): Found {
  const surroundings = readSurroundings()
  const location = chooseLocation(options, surroundings)
  const name = options.name ?? 'device'
  const place = { directory: location.directory, name, owner: surroundings }
  const key = readKey(place)
  if (name === 'device') checkExpectation(location, key)
  return { location, place, key }
}

/** A child that was told who it is never makes a key of its own: it would be a stranger to the gateway. */
function checkExpectation(location: StateLocation, key: StoredKey | null): void {
  const expected = location.expectedDeviceId
  if (expected === null) return
  const path = location.deviceKey
  if (key === null) {
    const fix = `Mount or share this directory with the child: ${quoted(location.directory)}`
    throw new IdentityError('IDENTITY_MISSING', { path, expected, fix })
  }
  if (key.deviceId !== expected) {
    const fix = `Point the child at its parent's directory, or start it anew: ${quoted(location.directory)}`
    throw new IdentityError('IDENTITY_UNEXPECTED', { path, expected, found: key.deviceId, fix })
  }
}

function creation(found: Found, options: IdentityOptions): Steps<{ key: StoredKey; created: boolean }> {
  return createKey(found.place, checkLockTimeout(options), { publish: publishDirectory, tryLock })
}

/** How long to wait for the lock; for this package's own acts. */
export function checkLockTimeout(options: IdentityOptions): number {
  const timeout = options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS
  if (!(timeout >= 0)) throw new TypeError('lockTimeoutMs must be 0 or more')
  return timeout
}

function opened(key: StoredKey, created: boolean, location: StateLocation): DeviceIdentity {
  const { signer, publicKey, createdAtMs } = key
  return identityOver(signer, { publicKey, createdAtMs, created, location })
}
