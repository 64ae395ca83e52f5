import { renameSync } from 'node:fs'
import { join } from 'node:path'
import type { DeviceId } from './device-id.ts'
import type { DeviceIdentity } from './device-identity.ts'
import { IdentityError } from './errors.ts'
import { notWritable, prepareStateDirectory, syncDirectory } from './internal/durable-files.ts'
import { errnoOf } from './internal/errno.ts'
import { isHeldOpen, WINDOWS_BUDGET_MS } from './internal/held-open.ts'
import { checkDirectory, type Owner } from './internal/private-file.ts'
import { chooseLocation } from './internal/state-location.ts'
import { runAsync, type Steps } from './internal/steps.ts'
import { readClock, readStopwatch, readSurroundings } from './internal/surroundings.ts'
import { findIdentity, type IdentityOptions, openIdentity } from './open-identity.ts'

/** Which identity is set aside. */
export interface ResetOptions extends IdentityOptions {
  /** The device that is meant: where the place holds another one by now, nothing happens. @defaultValue whatever is there */
  readonly deviceId?: DeviceId | undefined
}

/** What a reset did. */
export interface ResetIdentity {
  readonly identity: DeviceIdentity
  /** Where the former key is now, whole, with whatever lay beside it; `null` where there was none. */
  readonly setAside: string | null
}

/**
 * Make this install another device: what is in the key's place, be it a key, a damaged one or something else, is renamed
 * to `device.old-<time>`, and a new key is made. Nothing is deleted. To every gateway this install is then a stranger.
 *
 * @throws {@link IdentityError} `IDENTITY_HANDED_DOWN`: a parent handed this place down; its identity is not a child's to reset.
 * @throws {@link IdentityError} `IDENTITY_UNEXPECTED`: `deviceId` was given, and another device's key is there.
 * @throws {@link IdentityError} what {@link openIdentity} throws where it makes a key; what is wrong with the former key is
 * no obstacle, unless `deviceId` was given.
 */
export async function resetIdentity(options: ResetOptions): Promise<ResetIdentity> {
  options.signal?.throwIfAborted()
  const surroundings = readSurroundings()
  const location = chooseLocation(options, surroundings)
  const name = options.name ?? 'device'
  const path = name === 'device' ? location.deviceKey : location.gatewayKey
  if (name === 'device' && location.expectedDeviceId !== null) {
    const fix = 'Reset it where the parent runs, or start without what the parent handed down.'
    throw new IdentityError('IDENTITY_HANDED_DOWN', { path, expected: location.expectedDeviceId, fix })
  }
  if (options.deviceId !== undefined) {
    const found = await findIdentity(options)
    if (found !== null && found.id !== options.deviceId) {
      const fix = `Look at what is there now, and decide anew: holdfast id`
      throw new IdentityError('IDENTITY_UNEXPECTED', {
        path,
        expected: options.deviceId,
        found: found.id,
        fix,
      })
    }
  }
  const directory = prepareStateDirectory(location.directory, surroundings)
  const setAside = await runAsync(setAsideWhole(directory, name, surroundings), options.signal)
  return { identity: await openIdentity(options), setAside }
}

/** The whole directory at once: between one moment and the next the key is in its place, or set aside. */
function* setAsideWhole(directory: string, name: string, owner: Owner): Steps<string | null> {
  const endMs = readStopwatch() + WINDOWS_BUDGET_MS
  const from = join(directory, name)
  for (;;) {
    const to = join(directory, `${name}.old-${stamp(readClock())}`)
    try {
      if (!checkDirectory(to, owner)) {
        renameSync(from, to)
        syncDirectory(directory, owner)
        return to
      }
    } catch (error) {
      const errno = errnoOf(error) ?? ''
      if (errno === 'ENOENT') return null
      // Set aside by another reset in this very millisecond, or, on Windows, held open by a reader.
      const passing = ['ENOTEMPTY', 'EEXIST'].includes(errno) || isHeldOpen(error, owner.platform)
      if (!passing || readStopwatch() > endMs) throw notWritable(directory, owner, error)
    }
    yield 5
  }
}

/** A time as part of a name that every file system takes: `20261121T220309123Z`. */
function stamp(atMs: number): string {
  return new Date(atMs).toISOString().replaceAll(/[-:.]/g, '')
}
