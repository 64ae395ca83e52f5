import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The top of the repository. */
export const TOP = join(import.meta.dirname, '..', '..')

export interface Output {
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Run a program to its end. Rejects, with what it printed, where it does not end with 0. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Output> {
  const { cwd = TOP, env = process.env } = options
  try {
    return await run(command, [...args], { cwd, env, maxBuffer: 64 * 1024 * 1024 })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as Partial<Output>
    throw new Error(`${command} ${args.join(' ')}\n${stdout}\n${stderr}`, { cause: error })
  }
}

/** The project's package manager, at the top. */
export function pnpm(args: readonly string[]): Promise<Output> {
  return runProgram('npx', ['-y', 'pnpm@12.21.0', ...args])
}

/** Run a program that a dev dependency of the project brings. */
export function runTool(name: string, args: readonly string[], options?: RunOptions): Promise<Output> {
  return runProgram(join(TOP, 'node_modules', '.bin', name), args, options)
}

/**
 * The environment of a user who has only this Node, and `home` as home: npm, npx and whatever starts `node` find it first.
 * Nothing of the lane's own package manager is handed on.
 */
export function userEnvironment(node: string, home: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|pnpm_|NODE_(OPTIONS|ENV|PATH)$|VITEST|HOLDFAST_|XDG_)/i.test(name),
  )
  return {
    ...Object.fromEntries(inherited),
    PATH: [dirname(node), process.env['PATH']].join(':'),
    XDG_DATA_HOME: home,
  }
}
