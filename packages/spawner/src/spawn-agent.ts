import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import type { DeviceIdentity } from '@holdfast/identity'
import { childEnvironment } from './child-environment.ts'

/** The options of `node:child_process`, and whose install the child belongs to. */
export interface SpawnAgentOptions extends SpawnOptions {
  readonly identity: DeviceIdentity
}

/**
 * Start a child that can connect: as `spawn` of `node:child_process` does, with {@link childEnvironment} added to
 * `env` (or to this process's environment where no `env` is given).
 *
 * The child gets the place of the install and the device id. No key and no token is put into its environment or its
 * arguments; what the caller's own environment holds is handed on as it is.
 *
 * @throws {@link SpawnerError} `IDENTITY_IN_MEMORY`, and nothing was started.
 */
export function spawnAgent(
  command: string,
  args: readonly string[],
  options: SpawnAgentOptions,
): ChildProcess {
  const { identity, ...rest } = options
  const handedDown = childEnvironment(identity)
  return spawn(command, args, { ...rest, env: { ...(rest.env ?? process.env), ...handedDown } })
}
