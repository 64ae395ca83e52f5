import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { barrierOf, readyLine, releaseBarrier } from './at-barrier.ts'

/** How to start a program of the tests: a TypeScript file, compiled or as it is, run by this same Node. */
export interface ProgramOptions {
  readonly args?: readonly string[]
  /** Set over this process's environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Flags for Node itself, such as `--import`. */
  readonly nodeFlags?: readonly string[]
  readonly cwd?: string
  /** Words of a command that starts it, such as those of a container. They are put before Node and its arguments. */
  readonly within?: readonly string[]
  /** What it reads on standard input. Empty, unless given. */
  readonly input?: string
  /** Run from its sources, file by file, where it is about what is loaded. */
  readonly fromSources?: boolean
}

/** How a program ended. */
export interface Outcome {
  /** Its last line of output, parsed as JSON; undefined where that is none. */
  readonly answer: unknown
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A program that was started and may still run. */
export interface Program {
  readonly process: ChildProcess
  /** Resolves once the program has printed this line; rejects if it ends before. */
  printed(line: string): Promise<void>
  readonly outcome: Promise<Outcome>
  kill(signal?: NodeJS.Signals): void
}

const TOP = fileURLToPath(new URL('../..', import.meta.url))

/** Shared by all programs of all runs, so that hundreds of them do not each compile the same sources. */
export const compileCache = fileURLToPath(
  new URL('../../node_modules/.cache/holdfast-programs', import.meta.url),
)
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** The file to run a program by: what `compiled-programs.ts` made of it, or its source where nothing was compiled. */
export function programPath(file: URL): string {
  const source = fileURLToPath(file)
  const folder = process.env['HOLDFAST_TEST_COMPILED']
  if (folder === undefined) return source
  const compiled = join(folder, relative(TOP, source).replace(/\.ts$/, '.mjs'))
  return existsSync(compiled) ? compiled : source
}

/** Start one program. It is killed with this process, if it still runs then. */
export function startProgram(file: URL, options: ProgramOptions = {}): Program {
  const flags = ['--conditions=source', '--no-warnings', ...(options.nodeFlags ?? [])]
  const path = options.fromSources === true ? fileURLToPath(file) : programPath(file)
  const words = [process.execPath, ...flags, path, ...(options.args ?? [])]
  const [command = '', ...args] = [...(options.within ?? []), ...words]
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin.on('error', () => undefined).end(options.input ?? '')
  running.add(child)
  let stdout = ''
  let stderr = ''
  let ended = false
  // One listener on the stream, however many lines are waited for.
  const output = new EventEmitter().setMaxListeners(0)
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    output.emit('more')
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (exitCode, signal) => {
      running.delete(child)
      ended = true
      output.emit('more')
      resolve({ answer: lastJson(stdout), exitCode, signal, stdout, stderr })
    })
  })
  const printed = async (line: string): Promise<void> => {
    while (!stdout.split('\n').includes(line)) {
      if (ended) throw new Error(`ended before it printed ${line}: ${stderr}`)
      await once(output, 'more')
    }
  }
  return { process: child, printed, outcome, kill: signal => void child.kill(signal ?? 'SIGKILL') }
}

/** Run one program to its end. */
export function runProgram(file: URL, options: ProgramOptions = {}): Promise<Outcome> {
  return startProgram(file, options).outcome
}

/**
 * Start many programs, wait until each waits at its barrier (`waitAtBarrier`), release them all by creating one file, and
 * collect how they ended.
 *
 * @param optionsOf the options of the program with this index, counted from 0
 */
export async function startTogether(
  file: URL,
  count: number,
  optionsOf: (index: number) => ProgramOptions = () => ({}),
): Promise<readonly Outcome[]> {
  return (await raceInRounds(file, count, 1, optionsOf, () => undefined)).outcomes
}

/**
 * The same, with one barrier after the other (`waitAtBarrier(round)`): the next one falls when all stand at it, so that no
 * round waits for processes to start.
 *
 * @param look called after each round, when all have done with it; what it gave is `seen`
 */
export async function raceInRounds<T>(
  file: URL,
  count: number,
  rounds: number,
  optionsOf: (index: number) => ProgramOptions,
  look: (round: number) => T,
): Promise<{ readonly outcomes: readonly Outcome[]; readonly seen: readonly T[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-barrier-'))
  const barrier = join(folder, 'released')
  const programs = Array.from({ length: count }, (_, index) => {
    const options = optionsOf(index)
    return startProgram(file, { ...options, env: { ...options.env, HOLDFAST_TEST_BARRIER: barrier } })
  })
  const allReady = (round: number) => Promise.all(programs.map(program => program.printed(readyLine(round))))
  try {
    const seen: T[] = []
    await allReady(0)
    for (let round = 0; round < rounds; round++) {
      await releaseBarrier(barrierOf(barrier, round))
      if (round < rounds - 1) await allReady(round + 1)
      else await Promise.all(programs.map(program => program.outcome))
      seen.push(look(round))
    }
    return { outcomes: await Promise.all(programs.map(program => program.outcome)), seen }
  } finally {
    for (const program of programs) program.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

const isLong = process.env['HOLDFAST_LONG'] !== undefined
const isWindows = process.platform === 'win32'
/** A further version of Node, on which the same races are run as on the pinned one, and need not be run as often. */
const isFurther = process.env['HOLDFAST_NODE'] !== undefined

/** Rounds of a race: few while working, many in the long lane; one in Wine, where a process takes many times as long. */
export const raceRounds = isLong ? 20 : isWindows || isFurther ? 1 : 3

/** How many processes race in the largest of them. */
export const raceProcesses = isWindows ? 24 : isFurther && !isLong ? 32 : 96

/** The last line of an output, parsed; undefined where it is no JSON. */
export function lastJson(stdout: string): unknown {
  const line = stdout.trimEnd().split('\n').at(-1) ?? ''
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
