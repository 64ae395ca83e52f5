import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { REAL_NODE, type RealCommandOutcome, type RealHome, realEnvironment } from './real-gateway.ts'
import { commandFile, type RealVersion } from './real-versions.ts'

const MAIN = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url))

/** A bound for what hangs. */
const BOUND_MS = 240_000

/**
 * Run a line of shell as the user of that HOME would: `openclaw` is the release, `holdfast` and `node` run the sources of
 * this workspace.
 */
export function runShell(
  version: RealVersion,
  home: RealHome,
  line: string,
  options: {
    readonly cwd?: string
    readonly env?: Readonly<Record<string, string>>
    readonly input?: string
  } = {},
): Promise<RealCommandOutcome> {
  const bin = join(home.directory, 'bin')
  mkdirSync(bin, { recursive: true })
  const fromSources = `'${REAL_NODE}' --conditions=source --no-warnings`
  writeCommand(bin, 'openclaw', `'${REAL_NODE}' '${commandFile(version)}'`)
  writeCommand(bin, 'holdfast', `${fromSources} '${MAIN}'`)
  writeCommand(bin, 'node', fromSources)
  const { PATH, ...environment } = realEnvironment(version, home)
  const env = { ...environment, PATH: `${bin}:${PATH}`, ...options.env }
  return new Promise((resolve, reject) => {
    const cwd = options.cwd ?? home.directory
    const shell = execFile('bash', ['-c', line], { cwd, env, timeout: BOUND_MS }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number')
        reject(new Error(`${line}: ${stderr}`, { cause: error }))
      else resolve({ exitCode: Number(error?.code ?? 0), stdout, stderr })
    })
    shell.stdin?.on('error', () => undefined).end(options.input ?? '')
  })
}

function writeCommand(bin: string, name: string, words: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 })
}
