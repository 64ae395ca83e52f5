import { existsSync, readFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import type { Surroundings } from './surroundings.ts'

/** The files of an OpenClaw state directory that matter here. */
export interface OpenClawState {
  readonly directory: string
  /** 2026.2 to 2026.8: the key. */
  readonly keyFile: string
  /** 2026.9: everything. */
  readonly database: string
  /** What its user configured. */
  readonly configuration: string
}

const DEFAULT_PORT = 18_789

/**
 * Where an OpenClaw install keeps its state: the given directory, else `OPENCLAW_STATE_DIR`, else `.openclaw` in
 * `OPENCLAW_HOME` or the user's home.
 *
 * @throws TypeError for a relative path: what it means would depend on where the program was started.
 */
export function locateOpenClaw(directory: string | undefined, surroundings: Surroundings): OpenClawState {
  const { environment } = surroundings
  const home = environment['OPENCLAW_HOME']?.trim() || surroundings.home
  const found = directory ?? (environment['OPENCLAW_STATE_DIR']?.trim() || join(home, '.openclaw'))
  const absolute = found.startsWith('~/') ? join(home, found.slice(2)) : found
  if (!isAbsolute(absolute)) throw new TypeError('the OpenClaw directory must be an absolute path')
  return {
    directory: absolute,
    keyFile: join(absolute, 'identity', 'device.json'),
    database: join(absolute, 'state', 'openclaw.sqlite'),
    configuration: join(absolute, 'openclaw.json'),
  }
}

/**
 * Where this install's gateway listens, for a program of the same machine: its configured port, else OpenClaw's default. A
 * configuration that is more than JSON, which OpenClaw allows, counts as one that says nothing.
 */
export function gatewayUrlOf({ configuration }: OpenClawState, { environment }: Surroundings): string {
  const chosen = environment['OPENCLAW_GATEWAY_PORT']?.trim()
  const port = chosen !== undefined && chosen !== '' ? Number(chosen) : configuredPort(configuration)
  const good = port !== null && Number.isInteger(port) && port > 0 && port < 65_536
  return `ws://127.0.0.1:${good ? port : DEFAULT_PORT}`
}

function configuredPort(path: string): number | null {
  try {
    const { gateway } = JSON.parse(readFileSync(path, 'utf8')) as { gateway?: { port?: unknown } }
    return typeof gateway?.port === 'number' ? gateway.port : null
  } catch {
    return null // Absent, closed to us, or no plain JSON: then it says nothing.
  }
}

/** Whether this install keeps its identity in a database (2026.9 and later): then no file of ours may lie beside it. */
export function usesDatabase(state: OpenClawState): boolean {
  return existsSync(state.database)
}
