import { existsSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import type { Surroundings } from './surroundings.ts'

/** The files of an OpenClaw state directory that matter here. */
export interface OpenClawState {
  readonly directory: string
  /** 2026.2 to 2026.8: the key. */
  readonly keyFile: string
  /** 2026.9: everything. */
  readonly database: string
}

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
  }
}

/** Whether this install keeps its identity in a database (2026.9 and later): then no file of ours may lie beside it. */
export function usesDatabase(state: OpenClawState): boolean {
  return existsSync(state.database)
}
