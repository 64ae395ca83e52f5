import { posix } from 'node:path'
import { quoted } from './shell-words.ts'
import type { StateLocation } from './state-location.ts'
import type { Surroundings } from './surroundings.ts'

/** What is odd about how the place came to be chosen. */
export interface LocationFinding {
  readonly code: 'HOME_IGNORED' | 'HOME_DIFFERS' | 'STATE_DOUBLED'
  readonly path: string
  readonly facts: Readonly<Record<string, string | null>>
  readonly fix: string
}

/** What a person should know about the environment that chose this place, or would have, by the surroundings alone. */
export function judgeLocation(
  location: StateLocation,
  surroundings: Surroundings,
  isStateDirectory: (path: string) => boolean,
): readonly LocationFinding[] {
  if (surroundings.platform === 'win32' || location.chosenBy !== 'default') return []
  const found: LocationFinding[] = []
  const { HOME: home, XDG_DATA_HOME: data } = surroundings.environment
  const known = surroundings.userDatabaseHome()
  for (const [name, value] of [
    ['HOME', home],
    ['XDG_DATA_HOME', surroundings.platform === 'linux' ? data : undefined],
  ] as const) {
    if (value === undefined || isWithin(location.directory, value)) continue
    // A data folder of its own leaves HOME unused, which is nothing to be told.
    if (name === 'HOME' && data !== undefined && location.directory.startsWith(data)) continue
    const facts = { variable: name, value, used: location.directory }
    found.push({ code: 'HOME_IGNORED', path: location.directory, facts, fix: `unset ${name}` })
  }
  if (found.length === 0 && home !== undefined && known !== null && !isSame(home, known)) {
    const facts = { home, userDatabase: known }
    const fix = `Give both the same place: export HOLDFAST_DIR_${suffixOf(location.app)}=${quoted(location.directory)}`
    found.push({ code: 'HOME_DIFFERS', path: location.directory, facts, fix })
  }
  if (home !== undefined && !isSame(home, location.directory) && isStateDirectory(home)) {
    const fix = `Use the one that is meant: --state-dir ${quoted(home)} or --state-dir ${quoted(location.directory)}`
    const facts = { home, used: location.directory }
    found.push({ code: 'STATE_DOUBLED', path: location.directory, facts, fix })
  }
  return found
}

function isWithin(path: string, folder: string): boolean {
  return folder !== '' && path.startsWith(folder.replace(/\/*$/, '/'))
}

function isSame(left: string, right: string): boolean {
  return posix.resolve('/', left) === posix.resolve('/', right)
}

function suffixOf(app: string): string {
  return app.toUpperCase().replaceAll('-', '_')
}
