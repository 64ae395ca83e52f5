import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { FOLDERS, type Manifest, manifestOf, runtimeDependencies, tarballName } from './packed.ts'
import { type Output, runProgram, runTool, TOP, userEnvironment } from './programs.ts'

/** A user's empty project, with our tarballs installed by one version of Node. */
export interface Project {
  readonly folder: string
  /** What npm said it fetched. */
  readonly installLog: string
  /** Run a program of the project, as that user. */
  run(command: string, ...args: string[]): Promise<Output>
}

/** Install the tarballs, and the types of Node, with the npm of the machine run by `node`. */
export async function installInto(folder: string, tarballs: string, node: string): Promise<Project> {
  const ours = Object.fromEntries(
    FOLDERS.map(each => [manifestOf(each).name, `file:${join(tarballs, tarballName(each))}`]),
  )
  const types = JSON.parse(await readFile(join(TOP, 'node_modules/@types/node/package.json'), 'utf8'))
  const manifest = {
    name: 'consumer',
    private: true,
    type: 'module',
    dependencies: ours,
    devDependencies: { '@types/node': types.version },
    // Our packages name each other by version. Until they are published, whatever a registry has under those names is not ours.
    overrides: Object.fromEntries(Object.keys(ours).map(name => [name, `$${name}`])),
  }
  const home = join(folder, 'home')
  await mkdir(home, { recursive: true })
  await cp(join(import.meta.dirname, 'consumer'), folder, { recursive: true })
  await writeFile(join(folder, 'package.json'), JSON.stringify(manifest))
  const options = { cwd: folder, env: userEnvironment(node, home) }
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--prefer-offline']
  const { stderr } = await runProgram(
    'npm',
    ['install', '--engine-strict', '--loglevel', 'http', ...quiet],
    options,
  )
  return {
    folder,
    installLog: stderr,
    run: (command, ...args) => runProgram(command, args, options),
  }
}

/** Compile the project's TypeScript strictly, types of its dependencies included. `null`: check only. */
export async function compile(
  project: Project,
  moduleResolution: 'nodenext' | 'bundler',
  outDir: string | null,
): Promise<void> {
  const config = {
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023'],
      types: ['node'],
      module: moduleResolution === 'bundler' ? 'preserve' : 'nodenext',
      moduleResolution,
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
      isolatedModules: true,
      skipLibCheck: false,
      ...(outDir === null ? { noEmit: true } : { outDir }),
    },
    files: ['main.ts', 'agent.ts'],
  }
  const name = `tsconfig.${moduleResolution}.json`
  await writeFile(join(project.folder, name), JSON.stringify(config))
  await runTool('tsc', ['--project', name], { cwd: project.folder })
}

/** All that npm installed so that a package runs: its dependencies, theirs, and so on, as names. */
export async function installedFor(project: Project, name: string): Promise<string[]> {
  const found = new Set<string>()
  const visit = async (from: string, dependency: string): Promise<void> => {
    const [folder, manifest] = await findInstalled(from, dependency, project.folder)
    if (found.has(manifest.name)) return
    found.add(manifest.name)
    for (const next of Object.keys(manifest.dependencies ?? {})) await visit(folder, next)
  }
  const [folder, manifest] = await findInstalled(project.folder, name, project.folder)
  for (const dependency of runtimeDependencies(manifest)) await visit(folder, dependency)
  return [...found].sort()
}

/** Look where Node looks: in `node_modules` beside the importer, then further up to the project. */
async function findInstalled(from: string, name: string, top: string): Promise<[string, Manifest]> {
  const folder = join(from, 'node_modules', name)
  try {
    return [folder, JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || from === top) throw error
    return findInstalled(dirname(from), name, top)
  }
}
