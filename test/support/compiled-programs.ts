import { createHash, randomUUID } from 'node:crypto'
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin, type Rolldown } from 'vite'
import { compileCache } from './processes.ts'

const TOP = fileURLToPath(new URL('../..', import.meta.url))
const CACHE = join(TOP, 'node_modules', '.cache', 'holdfast-compiled')
const KEPT_MS = 7 * 24 * 60 * 60 * 1_000

/** What the tests start again and again, hundreds of times in one run. */
const PROGRAMS = [
  'packages/cli/src/main.ts',
  'test/{cli,delegation,gateway,identity,openclaw}/programs/*.ts',
  'test/pairing-store/children/*.ts',
  'test/spawner/child-*.ts',
]

/** The same with `/` on Windows. */
const nameOf = (file: string): string => file.replaceAll(sep, '/').replace(/\.ts$/, '')

/** A module still finds what lies beside its source. */
const keepAddresses: Plugin = {
  name: 'keep-addresses',
  transform: (code, id) =>
    code.includes('import.meta.url')
      ? code.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(id.split('?')[0] ?? id).href))
      : undefined,
}

/**
 * Once before all tests of a run: put each program and the packages that it loads into few files of JavaScript, which start
 * in a third of the time of a hundred sources. A module that is loaded late still is a file of its own. `startProgram` finds
 * them by HOLDFAST_TEST_COMPILED; without it, the sources themselves are run.
 */
// biome-ignore lint/style/noDefaultExport: this is how vitest takes a global setup
export default async function compilePrograms(): Promise<void> {
  process.env['HOLDFAST_TEST_COMPILED'] = await compile(PROGRAMS)
  process.env['NODE_COMPILE_CACHE'] ??= compileCache
}

/** Returns the folder that has them, as `HOLDFAST_TEST_COMPILED` names it. */
export async function compile(patterns: readonly string[]): Promise<string> {
  const files = patterns.flatMap(pattern => globSync(pattern, { cwd: TOP }))
  const input = Object.fromEntries(files.map(file => [nameOf(file), join(TOP, file)]))
  const built = (await build({
    configFile: false,
    root: TOP,
    logLevel: 'error',
    plugins: [keepAddresses],
    resolve: { conditions: ['source'] },
    ssr: { noExternal: true, resolve: { conditions: ['source'] } },
    build: {
      ssr: true,
      write: false,
      minify: false,
      target: 'node24',
      rolldownOptions: {
        input,
        output: { entryFileNames: '[name].mjs', chunkFileNames: 'chunks/[name]-[hash].mjs' },
      },
    },
  })) as Rolldown.RolldownOutput
  return keep(built.output)
}

/** Written whole or not at all, under a name that is its content's: two runs at a time do not meet. */
function keep(output: Rolldown.RolldownOutput['output']): string {
  const hash = createHash('sha256')
  for (const file of output) hash.update(file.fileName).update('code' in file ? file.code : file.source)
  const folder = join(CACHE, hash.digest('hex').slice(0, 16))
  const unfinished = join(CACHE, randomUUID())
  for (const file of output) {
    const path = join(unfinished, file.fileName)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, 'code' in file ? file.code : file.source)
  }
  try {
    renameSync(unfinished, folder)
  } catch (error) {
    rmSync(unfinished, { recursive: true })
    // Another run, or an earlier one, has written the very same.
    if (!existsSync(folder)) throw error
  }
  removeOldBeside(folder)
  return folder
}

/** What sources of days ago were made into. */
function removeOldBeside(folder: string): void {
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name)
    const madeAtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
    if (path !== folder && Date.now() - madeAtMs > KEPT_MS) rmSync(path, { recursive: true, force: true })
  }
}
