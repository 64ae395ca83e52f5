// `pnpm test:nodes`: the suites of identity and handshake on every version of Node that the packages are for, and one verdict
// everywhere: each test ends alike on all of them, and so does each of several hundred signatures.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, relative } from 'node:path'
import process from 'node:process'
import { installedNodes, type Runtime } from './nodes.ts'

const TOP = join(import.meta.dirname, '..', '..')
const SUITES = ['test/identity', 'test/handshake']

/** How each test ended, by its file and title. */
type Results = ReadonlyMap<string, string>

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

function environmentOf({ path, version }: Runtime): NodeJS.ProcessEnv {
  const inherited = process.env['PATH'] ?? ''
  return { ...process.env, HOLDFAST_NODE: version, PATH: `${dirname(path)}${delimiter}${inherited}` }
}

interface SuiteRun {
  readonly node: Runtime
  readonly clean: boolean
  readonly results: Results
}

/** The suites on one version. What they print is shown whole when they are done: those of the other versions run meanwhile. */
async function runSuites(node: Runtime, folder: string): Promise<SuiteRun> {
  const startedMs = performance.now()
  const report = join(folder, `${node.version}.json`)
  const vitest = join(TOP, 'node_modules', 'vitest', 'vitest.mjs')
  const options = ['--config', 'test/runtimes/vitest.nodes.config.ts', '--reporter=dot', '--reporter=json']
  const args = [vitest, 'run', ...options, `--outputFile.json=${report}`, ...SUITES]
  const child = spawn(node.path, args, {
    cwd: TOP,
    env: environmentOf(node),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => printed.push(bytes))
  const [status] = await once(child, 'close')
  const seconds = Math.round((performance.now() - startedMs) / 1_000)
  console.log(`\n== Node ${node.version}, ${seconds} s\n${Buffer.concat(printed)}`)
  return { node, clean: status === 0, results: resultsIn(report) }
}

function resultsIn(report: string): Results {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
  // Two tests of one title are told apart by their order within the file; that of the files changes from run to run.
  const results = new Map<string, string>()
  for (const { name, assertionResults } of testResults) {
    for (const { fullName, status: end } of assertionResults) {
      const title = `${relative(TOP, name)} > ${fullName}`
      const twin = [...results.keys()].filter(known => known.startsWith(title)).length
      results.set(results.has(title) ? `${title} (${twin})` : title, end)
    }
  }
  return results
}

function verdictsOf(node: Runtime): { readonly node: string; readonly ours: string; readonly bare: string } {
  const args = ['--conditions=source', '--no-warnings', join(import.meta.dirname, 'verdicts.ts')]
  return JSON.parse(execFileSync(node.path, args, { env: environmentOf(node), encoding: 'utf8' }))
}

/** What did not end alike, one line each. */
function differences(all: readonly { readonly node: Runtime; readonly results: Results }[]): string[] {
  const titles = new Set(all.flatMap(({ results }) => [...results.keys()]))
  return [...titles].flatMap(title => {
    const ends = all.map(({ node, results }) => `${node.version} ${results.get(title) ?? 'not run'}`)
    const alike = new Set(ends.map(end => end.replace(/^\S+ /, ''))).size === 1
    return alike ? [] : [`${title}: ${ends.join(', ')}`]
  })
}

const nodes = installedNodes()
const folder = mkdtempSync(join(tmpdir(), 'holdfast-nodes-'))
const problems: string[] = []
console.log(`identity and handshake on ${nodes.map(({ version }) => version).join(', ')}, side by side …`)
// All at once: a version's suites spend most of their time waiting for the processes that they start.
const runs = await Promise.all(nodes.map(node => runSuites(node, folder)))
for (const { node, clean } of runs) if (!clean) problems.push(`tests failed on ${node.version}`)
rmSync(folder, { recursive: true, force: true })
problems.push(...differences(runs))

const verdicts = nodes.map(verdictsOf)
for (const [index, { node }] of verdicts.entries()) {
  if (node !== nodes[index]?.version) problems.push(`${node} decided, and not ${nodes[index]?.version}`)
}
if (new Set(verdicts.map(({ ours }) => ours)).size !== 1) problems.push('verdicts on signatures differ')
// The control: the same comparison sees that the runtimes by themselves do not agree on these cases.
if (new Set(verdicts.map(({ bare }) => bare)).size === 1)
  problems.push('the cases tell no version from another')

const ends = runs.flatMap(({ results }) => [...results.values()])
const passed = ends.filter(end => end === 'passed').length
const failed = ends.filter(end => end === 'failed').length
const versions = nodes.map(({ version }) => version).join(', ')
console.log(`\n${problems.map(problem => `- ${problem}\n`).join('')}`)
for (const { node, results } of runs) {
  console.log(`${node.version}: ${[...results.values()].filter(end => end === 'passed').length} tests passed`)
}
const decided = verdicts[0]?.ours.length ?? 0
console.log(
  problems.length === 0 ? `one verdict everywhere: ${decided} signatures on ${versions}` : 'no agreement',
)
console.log(`      Tests  ${failed > 0 ? `${failed} failed | ` : ''}${passed} passed (${ends.length})`)
process.exitCode = problems.length === 0 && passed > 0 ? 0 : 1
