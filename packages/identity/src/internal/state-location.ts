import { posix, win32 } from 'node:path'
import { type DeviceId, parseDeviceId } from '../device-id.ts'
import { IdentityError } from '../errors.ts'
import type { Surroundings } from './surroundings.ts'

/** Which install is meant. `app` or `directory` is required. */
export interface LocationOptions {
  /** The application: `^[a-z][a-z0-9-]{0,31}$`. @defaultValue `holdfast`, where `directory` is given */
  readonly app?: string | undefined
  /** One of several installs of one application, same alphabet; not together with `directory`. @defaultValue none */
  readonly profile?: string | undefined
  /** The state directory itself, as an absolute path. @defaultValue see {@link StateLocation.chosenBy} */
  readonly directory?: string | undefined
}

/** Where an install keeps its state: absolute paths, and who chose them. Nothing here says that they exist. */
export interface StateLocation {
  readonly directory: string
  readonly app: string
  readonly profile: string | null
  /**
   * `directory`: the option; else `environment`: the variable `HOLDFAST_DIR_<APP>`, looked at only where no profile is
   * given; else `default`: the user's data folder.
   */
  readonly chosenBy: 'directory' | 'environment' | 'default'
  /** The device that a parent handed down with the place (`HOLDFAST_DEVICE_<APP>`); null where it did not. */
  readonly expectedDeviceId: DeviceId | null
  readonly deviceKey: string
  readonly gatewayKey: string
  readonly gatewayToken: string
  readonly gatewayNote: string
  readonly gatewayLock: string
  readonly store: string
}

const NAME = /^[a-z][a-z0-9-]{0,31}$/

/** Where this install's state is, by the options and the surroundings alone. */
export function chooseLocation(options: LocationOptions, surroundings: Surroundings): StateLocation {
  if (options.app === undefined && options.directory === undefined) {
    throw new TypeError('app or directory is required')
  }
  const app = checkName('app', options.app ?? 'holdfast')
  const profile = options.profile === undefined ? null : checkName('profile', options.profile)
  if (options.directory !== undefined) {
    if (profile !== null)
      throw invalid('profile', 'directory already names the final place', 'Give one of the two.')
    return describe(absolute('directory', options.directory, surroundings), app, profile, 'directory')
  }
  const suffix = app.toUpperCase().replaceAll('-', '_')
  const handedDown = surroundings.environment[`HOLDFAST_DIR_${suffix}`]
  if (profile === null && handedDown !== undefined) {
    const directory = absolute('environment', handedDown, surroundings)
    return describe(
      directory,
      app,
      null,
      'environment',
      expectedDevice(`HOLDFAST_DEVICE_${suffix}`, surroundings),
    )
  }
  const folder = dataFolder(app, surroundings)
  const directory = profile === null ? folder : pathsOf(surroundings).join(folder, 'profiles', profile)
  return describe(directory, app, profile, 'default')

  function describe(
    directory: string,
    app: string,
    profile: string | null,
    chosenBy: StateLocation['chosenBy'],
    expectedDeviceId: DeviceId | null = null,
  ): StateLocation {
    const { join } = pathsOf(surroundings)
    return Object.freeze({
      directory,
      app,
      profile,
      chosenBy,
      expectedDeviceId,
      deviceKey: join(directory, 'device', 'key.json'),
      gatewayKey: join(directory, 'gateway', 'key.json'),
      gatewayToken: join(directory, 'gateway-token', 'token'),
      gatewayNote: join(directory, 'gateway.json'),
      gatewayLock: join(directory, 'gateway.lock.sqlite'),
      store: join(directory, 'store.sqlite'),
    })
  }
}

/**
 * The folder that `env-paths` names for an application's data, as a pure function: that package reads the home directory
 * when it is imported and takes it, and a relative `XDG_DATA_HOME`, on trust. A test holds the two equal.
 */
function dataFolder(app: string, surroundings: Surroundings): string {
  const { join } = pathsOf(surroundings)
  if (surroundings.platform === 'win32') {
    const local = surroundings.environment['LOCALAPPDATA']
    return isAbsolute(local, surroundings)
      ? join(local, app, 'Data')
      : join(home(surroundings), 'AppData', 'Local', app, 'Data')
  }
  if (surroundings.platform === 'darwin')
    return join(home(surroundings), 'Library', 'Application Support', app)
  const data = surroundings.environment['XDG_DATA_HOME']
  // The specification says to ignore a relative path; another user's folder is what `sudo` leaves behind.
  return isAbsolute(data, surroundings) && !belongsToAnother(data, surroundings)
    ? join(data, app)
    : join(home(surroundings), '.local', 'share', app)
}

/** `HOME` where it is this user's own directory, else what the user database says: the same for service and shell. */
function home(surroundings: Surroundings): string {
  const { uid, environment, platform } = surroundings
  const claimed = environment[platform === 'win32' ? 'USERPROFILE' : 'HOME']
  if (isAbsolute(claimed, surroundings) && (uid === null || surroundings.ownerOf(claimed) === uid))
    return claimed
  const known = surroundings.userDatabaseHome()
  if (isAbsolute(known ?? undefined, surroundings) && known !== null) return known
  throw invalid('home', 'neither the environment nor the user database names a home', 'Give a directory.')
}

function belongsToAnother(path: string, surroundings: Surroundings): boolean {
  const owner = surroundings.ownerOf(path)
  return owner !== null && owner !== 0 && owner !== surroundings.uid
}

function expectedDevice(variable: string, surroundings: Surroundings): DeviceId | null {
  const text = surroundings.environment[variable]
  if (text === undefined) return null
  const id = parseDeviceId(text)
  if (id === null) throw invalid('environment', `${variable} is not a device id`, `Unset ${variable}.`)
  return id
}

function absolute(source: 'directory' | 'environment', path: string, surroundings: Surroundings): string {
  if (!isAbsolute(path, surroundings)) {
    throw invalid(source, 'not an absolute path', 'Name the final directory by an absolute path.')
  }
  return pathsOf(surroundings).resolve(path)
}

function isAbsolute(path: string | undefined, surroundings: Surroundings): path is string {
  if (path === undefined || path.includes('\0')) return false
  // `\folder` is absolute to win32.isAbsolute, but means the current drive.
  return surroundings.platform === 'win32' ? /^([a-zA-Z]:[\\/]|\\\\)/.test(path) : posix.isAbsolute(path)
}

function checkName(source: 'app' | 'profile', name: string): string {
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw invalid(source, `must match ${NAME.source}`, 'Use lower-case letters, digits and hyphens.')
  }
  return name
}

function pathsOf(surroundings: Surroundings): typeof posix {
  return surroundings.platform === 'win32' ? win32 : posix
}

function invalid(
  source: 'directory' | 'app' | 'profile' | 'environment' | 'home',
  reason: string,
  fix: string,
): IdentityError<'STATE_LOCATION_INVALID'> {
  return new IdentityError('STATE_LOCATION_INVALID', { source, reason, fix })
}
