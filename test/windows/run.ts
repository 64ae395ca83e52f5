// `pnpm test:windows`: the suites of identity, handshake, store and spawner on Node for Windows in Wine, and races between
// processes of Windows and of Linux on one directory. Ends with 0 only where that really ran, and ran on Windows.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import process from 'node:process'
import { installWine } from './install-wine.ts'
import { judgeReport, type SuiteReport, type SuiteVerdict } from './suite-report.ts'
import { asWindowsPath } from './windows-programs.ts'

const TOP = join(import.meta.dirname, '..', '..')
const NODE = join(TOP, 'test', 'runtimes', 'node_modules', 'node-windows', 'bin', 'node.exe')
const RUNNER = join(import.meta.dirname, 'run-on-windows')
const VITEST = join('node_modules', 'vitest', 'vitest.mjs')
const SUITES = 'test/windows/vitest.windows.config.ts'
const RACES = 'test/windows/vitest.mixed.config.ts'
/** Fewer than these, and the suites were not there to run. */
const FEWEST_TESTS = 300

const environment: NodeJS.ProcessEnv = {
  ...process.env,
  WINEPREFIX: process.env['WINEPREFIX'] ?? join(TOP, '.wine'),
  HOLDFAST_WINDOWS_NODE: NODE,
  HOLDFAST_WINDOWS_SECONDS: '1500',
  // What a lane on Linux may ask of its machine is not to be had in Wine.
  HOLDFAST_NEED_STRACE: undefined,
  HOLDFAST_NEED_PYTHON: undefined,
}
const problems: string[] = []

/** Says what is going on, and how long it took. */
async function timed<Result>(title: string, act: () => Result | Promise<Result>): Promise<Result> {
  console.log(`== ${title}`)
  const startedMs = performance.now()
  const result = await act()
  console.log(`== ${title}: ${Math.round((performance.now() - startedMs) / 1_000)} s`)
  return result
}

/** Run a program to its end; what it prints is given back. */
async function run(command: string, ...args: string[]): Promise<{ status: number | null; printed: string }> {
  const child = spawn(command, args, { cwd: TOP, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
  const printed: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => printed.push(bytes))
  const [status] = await once(child, 'close')
  return { status, printed: String(Buffer.concat(printed)) }
}

/** On what the programs of this lane run, by what one of them says. The first makes the prefix, which takes a while. */
async function askForPlatform(): Promise<string> {
  const { printed } = await run(RUNNER, '-p', 'process.platform + " " + process.version')
  const platform = printed.trim()
  if (!/^win32 v22\./.test(platform)) problems.push(`not Node 22 for Windows, but: ${platform}`)
  return platform
}

/** The control of the whole lane: on Linux its tests do not pass. */
async function checkThatLinuxFails(): Promise<void> {
  const { status } = await run(
    process.execPath,
    VITEST,
    'run',
    '--config',
    SUITES,
    'test/identity/transfer.test.ts',
  )
  if (status === 0) problems.push('the tests of this lane pass on Linux as well: they prove nothing')
  else console.log('   and so they fail, as they must')
}

/** One of these tests is the negative control: the same race without lock and publish step, in which processes disagree. */
async function runRaces(): Promise<void> {
  const { status, printed } = await run(process.execPath, VITEST, 'run', '--config', RACES)
  console.log(printed)
  if (status !== 0) problems.push('a race with Windows failed')
}

async function runSuites(folder: string): Promise<SuiteVerdict> {
  const file = join(folder, 'report.json')
  const reporters = ['--reporter=json', `--outputFile.json=${asWindowsPath(file)}`]
  // The races before have started what closes a directory for real.
  environment['HOLDFAST_WITHOUT_ICACLS'] = '1'
  const { printed } = await run(RUNNER, VITEST.replaceAll(sep, '/'), 'run', '--config', SUITES, ...reporters)
  if (!existsSync(file)) throw new Error(`the suites left no report:\n${printed.slice(-4_000)}`)
  return judgeReport(JSON.parse(readFileSync(file, 'utf8')) as SuiteReport, TOP)
}

if (await timed('Wine', installWine)) console.log('   installed from Debian')
const folder = mkdtempSync(join(tmpdir(), 'holdfast-windows-lane-'))
try {
  const platform = await timed('a first program on Windows', askForPlatform)
  await timed('the tests of this lane on Linux', checkThatLinuxFails)
  await timed('8 processes of Windows and 8 of Linux on one directory', runRaces)
  const verdict = await timed('the suites on Windows', () => runSuites(folder))
  const { passed, failed, known, slowest } = verdict
  problems.push(...verdict.problems)
  if (passed < FEWEST_TESTS) problems.push(`only ${passed} tests passed`)
  for (const line of slowest) console.log(`   ${line}`)
  for (const problem of problems) console.log(`- ${problem}`)
  console.log(`tested with Node for Windows under Wine: ${platform}`)
  console.log(
    `      Tests  ${failed > 0 ? `${failed} failed | ` : ''}${passed} passed, ${known} known not to hold there`,
  )
} finally {
  rmSync(folder, { recursive: true, force: true })
  // Ends what is left in this prefix, and nowhere else.
  spawnSync('wineserver', ['-k'], { env: environment, stdio: 'ignore' })
}
process.exitCode = problems.length === 0 ? 0 : 1
