import { execFile, spawn } from 'node:child_process'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { compile } from '../support/compiled-programs.ts'
import { programPath } from '../support/processes.ts'

/**
 * What is measured for its memory runs as it is published, as JavaScript: what reads TypeScript would take a third of it.
 */
const COMPILED = [
  'store-at-size',
  'fleet-gateway',
  'handshakes',
  'cut-by-revocation',
  'fan-out',
  'gate-server',
  'gate-client',
  'admission',
]

/** A program of the benchmarks that answers each line with one line of JSON, and ends with its input. */
export interface Peer<Ready> {
  /** Its first line. */
  readonly ready: Ready
  ask<Answer>(line: string): Promise<Answer>
  /** Resolves when it is gone. */
  end(): Promise<void>
}

export async function startPeer<Ready>(name: string, ...words: readonly string[]): Promise<Peer<Ready>> {
  const child = spawn(process.execPath, await argsOf(name, words), { stdio: ['pipe', 'pipe', 'inherit'] })
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async <Answer>(): Promise<Answer> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error(`${name} has ended`)
    return JSON.parse(value) as Answer
  }
  return {
    ready: await next<Ready>(),
    ask: line => {
      child.stdin.write(`${line}\n`)
      return next()
    },
    end: () => {
      child.stdin.end()
      return gone
    },
  }
}

/** Run a program to its end, and read the JSON that it printed. */
export async function runToAnswer<Answer>(name: string, ...words: readonly string[]): Promise<Answer> {
  const { stdout } = await promisify(execFile)(process.execPath, await argsOf(name, words), {
    maxBuffer: 1e8,
  })
  return JSON.parse(stdout) as Answer
}

let compiling: Promise<string> | null = null

async function argsOf(name: string, words: readonly string[]): Promise<readonly string[]> {
  compiling ??= compile(COMPILED.map(each => `test/bench/programs/${each}.ts`))
  process.env['HOLDFAST_TEST_COMPILED'] = await compiling
  const file = programPath(new URL(`./programs/${name}.ts`, import.meta.url))
  return ['--conditions=source', '--no-warnings', file, ...words]
}
