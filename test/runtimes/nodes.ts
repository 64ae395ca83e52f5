import { execFileSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'

/** One version of Node to test with. */
export interface Runtime {
  readonly major: number
  /** The program. Its folder holds nothing else, so that it can be put first on a PATH. */
  readonly path: string
  /** As it says itself, such as `v22.23.3`. */
  readonly version: string
}

const TOP = join(import.meta.dirname, '..', '..')

const PATHS: Readonly<Record<number, string>> = {
  22: join(import.meta.dirname, 'node_modules', 'node-22', 'bin', 'node'),
  24: join(TOP, 'node_modules', '.bin', 'node'),
  26: join(import.meta.dirname, 'node_modules', 'node-26', 'bin', 'node'),
}

/**
 * The versions of Node that the packages are for, oldest first.
 *
 * @throws where one is not installed or is not the version that it should be: nothing may pass without having run on each.
 */
export function installedNodes(): readonly Runtime[] {
  return Object.entries(PATHS).map(([major, link]) => {
    if (!existsSync(link))
      throw new Error(`Node ${major} is not installed: ${link} (there is one for Linux x64 only)`)
    const path = realpathSync(link)
    const version = execFileSync(path, ['--version'], { encoding: 'utf8' }).trim()
    if (!version.startsWith(`v${major}.`)) throw new Error(`${path} is Node ${version}, not ${major}`)
    return { major: Number(major), path, version }
  })
}
