import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { runProgram } from '../../packages/cli/src/program.ts'
import {
  compileCache,
  lastJson,
  type Outcome,
  type Program,
  type ProgramOptions,
  programPath,
  startProgram,
} from '../support/processes.ts'

const MAIN = new URL('../../packages/cli/src/main.ts', import.meta.url)

/** Run `holdfast` with these words in a process of its own, to its end. */
export function holdfast(words: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  return startProgram(MAIN, { ...options, args: words }).outcome
}

/** The same in this process, which takes a tenth of the time: for all that is not about processes. */
export async function holdfastHere(words: readonly string[]): Promise<Omit<Outcome, 'signal'>> {
  let stdout = ''
  let stderr = ''
  const exitCode = await runProgram(words, {
    printOut: text => {
      stdout += text
    },
    printError: text => {
      stderr += text
    },
  })
  return { answer: lastJson(stdout), exitCode, stdout, stderr }
}

/** Run `holdfast … --json` on a state directory, and give what it printed. Fails the test where it did not exit with 0. */
export async function holdfastJson<T>(stateDir: string, ...words: readonly string[]): Promise<T> {
  const outcome = await holdfastHere([...words, '--state-dir', stateDir, '--json'])
  if (outcome.exitCode !== 0)
    throw new Error(`holdfast ${words.join(' ')}: ${outcome.stdout}${outcome.stderr}`)
  return outcome.answer as T
}

/** Run a shell script in which `holdfast` is a command, for a user with an empty home. */
export function runShell(
  script: string,
  home: string,
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const bin = join(home, 'bin')
  mkdirSync(bin)
  const words = [process.execPath, '--conditions=source', programPath(MAIN)].map(word => `'${word}'`)
  writeFileSync(join(bin, 'holdfast'), `#!/bin/sh\nexec ${words.join(' ')} "$@"\n`, { mode: 0o755 })
  const { XDG_DATA_HOME: _data, ...environment } = process.env
  const path = `${bin}:${process.env['PATH']}`
  const env = { ...environment, HOME: home, PATH: path, NODE_COMPILE_CACHE: compileCache }
  return new Promise(resolve => {
    execFile('bash', ['-m', '-e', '-c', script], { env }, (error, stdout, stderr) => {
      resolve({ exitCode: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })
}

/** A folder that goes with the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A gateway as `holdfast gateway --json` runs it, in a process of its own that ends with the test. */
export interface RunningGatewayProcess {
  readonly url: string
  readonly gatewayId: string
  readonly program: Program
  /** What it printed after its first line, so far. */
  events(): readonly Readonly<Record<string, unknown>>[]
}

export async function startGatewayProcess(
  stateDir: string,
  ...words: readonly string[]
): Promise<RunningGatewayProcess> {
  const program = startProgram(MAIN, { args: ['gateway', '--json', '--state-dir', stateDir, ...words] })
  onTestFinished(() => program.kill())
  const lines: Readonly<Record<string, unknown>>[] = []
  const first = await new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
    let rest = ''
    program.process.stdout?.on('data', (text: string) => {
      const parts = `${rest}${text}`.split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) lines.push(JSON.parse(part))
      const [line] = lines
      if (line !== undefined) resolve(line)
    })
    void program.outcome.then(({ stdout, stderr }) => reject(new Error(`no gateway: ${stdout}${stderr}`)))
  })
  if (typeof first['url'] !== 'string') throw new Error(`no gateway: ${JSON.stringify(first)}`)
  return { url: first['url'], gatewayId: String(first['gatewayId']), program, events: () => lines.slice(1) }
}

/** Wait until something holds, looking again and again; the bound is for what hangs, not for what is slow. */
export async function eventually<T>(look: () => T | Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const deadline = Date.now() + 60_000
  for (;;) {
    const value = await look()
    if (holds(value)) return value
    if (Date.now() > deadline) throw new Error(`did not come to hold: ${JSON.stringify(value)}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}
