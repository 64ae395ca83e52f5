import type { DeviceIdentity } from '@holdfast/identity'
import { SpawnerError } from './errors.ts'

/**
 * The variables that point a child at this install, whatever its working directory, HOME or TMPDIR: `HOLDFAST_DIR_<APP>`
 * (the state directory) and `HOLDFAST_DEVICE_<APP>` (the device id). For execa, fork, a pty, docker or tmux; merge them
 * last. Neither is secret, and nothing secret is ever among them. A child that finds no key there, or another one, fails
 * with `IDENTITY_MISSING` or `IDENTITY_UNEXPECTED` instead of becoming a stranger.
 *
 * @throws {@link SpawnerError} `IDENTITY_IN_MEMORY`: there is no place to point at.
 */
export function childEnvironment(identity: DeviceIdentity): Record<string, string> {
  const { location, id } = identity
  if (location === null) {
    const fix = 'Give the child an identity that openIdentity or findIdentity returned.'
    throw new SpawnerError('IDENTITY_IN_MEMORY', { deviceId: id, fix })
  }
  const suffix = location.app.toUpperCase().replaceAll('-', '_')
  return { [`HOLDFAST_DIR_${suffix}`]: location.directory, [`HOLDFAST_DEVICE_${suffix}`]: id }
}
