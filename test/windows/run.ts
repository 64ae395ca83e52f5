// `pnpm test:windows`: the suites of identity, handshake, store and spawner on Node for Windows in Wine, and races between
// processes of Windows and of Linux on one directory. Ends with 0 only where that really ran, and ran on Windows.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import process from 'node:process'
import { installWine } from './install-wine.ts'
import { NOT_ON_WINDOWS } from './not-on-windows.ts'
import { asWindowsPath } from './windows-programs.ts'

const TOP = join(import.meta.dirname, '..', '..')
const NODE = join(TOP, 'test', 'runtimes', 'node_modules', 'node-windows', 'bin', 'node.exe')
const RUNNER = join(import.meta.dirname, 'run-on-windows')
const VITEST = join('node_modules', 'vitest', 'vitest.mjs')
/** Fewer than these, and the suites were not there to run. */
const FEWEST_TESTS = 300

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

const environment = {
  ...process.env,
  WINEPREFIX: process.env['WINEPREFIX'] ?? join(TOP, '.wine'),
  HOLDFAST_WINDOWS_NODE: NODE,
  HOLDFAST_WINDOWS_SECONDS: '1500',
}
const problems: string[] = []

function run(command: string, args: readonly string[], output: 'shown' | 'hidden' = 'shown'): number | null {
  const stdio = output === 'shown' ? 'inherit' : 'ignore'
  return spawnSync(command, args, { cwd: TOP, env: environment, stdio }).status
}

/** The control of the whole lane: on Linux its tests do not pass. */
function checkThatLinuxFails(): void {
  const config = 'test/windows/vitest.windows.config.ts'
  const status = run(
    process.execPath,
    [VITEST, 'run', '--config', config, 'test/identity/transfer.test.ts'],
    'hidden',
  )
  if (status === 0) problems.push('the tests of this lane pass on Linux as well: they prove nothing')
}

function runMixed(): void {
  const config = 'test/windows/vitest.mixed.config.ts'
  if (run(process.execPath, [VITEST, 'run', '--config', config]) !== 0)
    problems.push('a race with Windows failed')
}

function runSuites(folder: string): {
  readonly passed: number
  readonly failed: number
  readonly known: number
} {
  const file = join(folder, 'report.json')
  const config = 'test/windows/vitest.windows.config.ts'
  const reporters = ['--reporter=json', `--outputFile.json=${asWindowsPath(file)}`]
  run(RUNNER, [VITEST.replaceAll(sep, '/'), 'run', '--config', config, ...reporters], 'hidden')
  if (!existsSync(file)) throw new Error('the suites left no report')
  const { testResults } = JSON.parse(readFileSync(file, 'utf8')) as Report
  const counts = { passed: 0, failed: 0, known: 0 }
  for (const { name, status, message, assertionResults } of testResults) {
    const suite = relative(TOP, name.replace(/^Z:/i, '').replaceAll('\\', '/'))
    if (status === 'failed' && assertionResults.length === 0) problems.push(`${suite}: ${message}`)
    for (const { fullName, status: end, failureMessages } of assertionResults) {
      if (end === 'passed') counts.passed += 1
      if (end !== 'failed') continue
      const isKnown = NOT_ON_WINDOWS.some(known => known.suite === suite && fullName.endsWith(known.title))
      counts[isKnown ? 'known' : 'failed'] += 1
      if (!isKnown) problems.push(`${suite} > ${fullName}\n  ${failureMessages.join('\n  ')}`)
    }
  }
  return counts
}

installWine()
const folder = mkdtempSync(join(tmpdir(), 'holdfast-windows-lane-'))
try {
  checkThatLinuxFails()
  runMixed()
  const { passed, failed, known } = runSuites(folder)
  if (passed < FEWEST_TESTS) problems.push(`only ${passed} tests passed`)
  for (const problem of problems) console.log(`- ${problem}`)
  const { stdout } = spawnSync(RUNNER, ['-p', 'process.platform + " " + process.version'], {
    env: environment,
  })
  console.log(`tested with Node for Windows under Wine: ${String(stdout).trim()}`)
  console.log(
    `      Tests  ${failed > 0 ? `${failed} failed | ` : ''}${passed} passed, ${known} known not to hold there`,
  )
} finally {
  rmSync(folder, { recursive: true, force: true })
  // Ends what is left in this prefix, and nowhere else.
  run('wineserver', ['-k'], 'hidden')
}
process.exitCode = problems.length === 0 ? 0 : 1
