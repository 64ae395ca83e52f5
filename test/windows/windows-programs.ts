import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { releaseBarrier } from '../support/at-barrier.ts'

/** On which system a program runs. */
export type System = 'windows' | 'linux'

/** What one program printed last, as JSON, and where it ran. */
export interface MixedOutcome {
  readonly system: System
  readonly answer: Readonly<Record<string, unknown>> | null
  readonly exitCode: number | null
  readonly stderr: string
}

const RUNNER = fileURLToPath(new URL('./run-on-windows', import.meta.url))

/** A path of Linux as a program in Wine names it. */
export function asWindowsPath(path: string): string {
  return `Z:${path.replaceAll('/', '\\')}`
}

/**
 * Start these programs on both systems, wait until each stands at its barrier, release them with one file, and collect what
 * they print. Arguments that are paths are given as each system names them.
 */
export async function startMixed(
  file: URL,
  systems: readonly System[],
  argsOf: (pathOf: (path: string) => string, index: number) => readonly string[],
): Promise<readonly MixedOutcome[]> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-mixed-'))
  const barrier = join(folder, 'released')
  const readies = systems.map((_, index) => join(folder, `ready-${index}`))
  try {
    const ends = systems.map((system, index) => {
      const pathOf = system === 'windows' ? asWindowsPath : (path: string) => path
      const environment = {
        HOLDFAST_TEST_BARRIER: pathOf(barrier),
        HOLDFAST_TEST_READY: pathOf(readies[index] ?? ''),
      }
      return run(system, [pathOf(fileURLToPath(file)), ...argsOf(pathOf, index)], environment)
    })
    // Whoever ends before all are ready has failed, and says why: the others are released, and not waited for in vain.
    await Promise.race([allThere(readies), ...ends])
    await releaseBarrier(barrier)
    return await Promise.all(ends)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Run one program to its end. */
export async function runOn(
  system: System,
  file: URL,
  argsOf: (pathOf: (path: string) => string) => readonly string[],
): Promise<MixedOutcome> {
  const pathOf = system === 'windows' ? asWindowsPath : (path: string) => path
  return run(system, [pathOf(fileURLToPath(file)), ...argsOf(pathOf)], {})
}

function run(system: System, words: readonly string[], environment: object): Promise<MixedOutcome> {
  const flags = ['--conditions=source', '--no-warnings', ...words]
  const [command, args] = system === 'windows' ? [RUNNER, flags] : [process.execPath, flags]
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', text => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', exitCode => resolve({ system, answer: lastJson(stdout), exitCode, stderr }))
  })
}

async function allThere(paths: readonly string[]): Promise<void> {
  const missing = (): boolean => existsSync(dirname(paths[0] ?? '')) && !paths.every(path => existsSync(path))
  while (missing()) await new Promise(resolve => setTimeout(resolve, 20))
}

function lastJson(stdout: string): Readonly<Record<string, unknown>> | null {
  const line = stdout.trimEnd().split(/\r?\n/).at(-1) ?? ''
  return line.startsWith('{') ? JSON.parse(line) : null
}
