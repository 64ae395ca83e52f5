import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { cacheDirectory, PINNED_NODE, RECIPES, type Recipe } from './real-versions.ts'

export interface InstallOptions {
  /** Takes a line of progress. */
  readonly say: (line: string) => void
  /** @defaultValue `cacheDirectory()` */
  readonly cache?: string
  /** @defaultValue all that the suite runs */
  readonly recipes?: readonly Recipe[]
  /** How often npm is tried where its failure may pass. @defaultValue 3 */
  readonly attempts?: number
  /** Before another attempt, in ms. @defaultValue 10,000 */
  readonly pauseMs?: number
  /** For one attempt, in ms. @defaultValue 600,000 */
  readonly boundMs?: number
  /** Set over this process's environment, for npm. @defaultValue nothing */
  readonly env?: Readonly<Record<string, string>>
}

const MARKER = '.installed.json'

/**
 * Install what the suite runs, where it is not there yet, all at once. A folder appears under its name only when it is
 * whole, so an install that was cut off, or ran twice at once, leaves nothing that a later run would take for good.
 *
 * @throws Error with what npm said, once each install has ended, where one could not be done.
 */
export async function installReal(options: InstallOptions): Promise<void> {
  const { say, cache = cacheDirectory(), recipes = RECIPES } = options
  mkdirSync(cache, { recursive: true })
  const installs = await Promise.allSettled(recipes.map(recipe => installOne(cache, recipe, options)))
  const failures = installs.flatMap(install => (install.status === 'rejected' ? [install.reason] : []))
  for (const failure of failures) say(String(failure))
  if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'))
}

async function installOne(cache: string, recipe: Recipe, options: InstallOptions): Promise<void> {
  const say = (line: string): void => options.say(`${recipe.name}: ${line}`)
  if (isInstalled(cache, recipe)) {
    say('already there')
    return
  }
  const startedAtMs = Date.now()
  const { attempts = 3, pauseMs = 10_000 } = options
  for (let attempt = 1; ; attempt++) {
    say(`installing into ${cache}${attempt === 1 ? '' : `, attempt ${attempt} of ${attempts}`}`)
    try {
      await install(cache, recipe, { ...options, say })
      break
    } catch (error) {
      if (!mayPass(error) || attempt >= attempts) throw error
      say(`failed, tried again in ${pauseMs} ms: ${firstLines(String(error))}`)
      await new Promise(resolve => setTimeout(resolve, pauseMs))
    }
  }
  say(`installed in ${Math.round((Date.now() - startedAtMs) / 1000)} s`)
}

function isInstalled(cache: string, recipe: Recipe): boolean {
  const folder = join(cache, recipe.name)
  const marker = join(folder, MARKER)
  if (!existsSync(marker) || readFileSync(marker, 'utf8') !== markerOf(recipe)) return false
  return missingIn(folder, recipe) === null
}

/** What is not there of that which must be; `null`: nothing. */
function missingIn(folder: string, { proof, needBuild = [] }: Recipe): string | null {
  if (!existsSync(join(folder, proof))) return proof
  const without = needBuild.find(name => {
    const { optionalDependencies = {} } = JSON.parse(
      readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8'),
    ) as { readonly optionalDependencies?: Readonly<Record<string, string>> }
    const builds = Object.keys(optionalDependencies).filter(each => each.startsWith(`${name}-`))
    return !builds.some(build => existsSync(join(folder, 'node_modules', build)))
  })
  return without === undefined ? null : `${without}, its build for this platform`
}

/** A recipe that was changed is another install: the marker is the recipe. */
function markerOf(recipe: Recipe): string {
  return `${JSON.stringify({ manifest: recipe.manifest, files: recipe.files })}\n`
}

async function install(cache: string, recipe: Recipe, options: InstallOptions): Promise<void> {
  const folder = mkdtempSync(join(cache, `.${recipe.name}-`))
  try {
    writeFileSync(join(folder, 'package.json'), JSON.stringify(recipe.manifest))
    for (const [name, text] of Object.entries(recipe.files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    await runNpm(folder, recipe.name, options)
    const missing = missingIn(folder, recipe)
    if (missing !== null) throw new NpmFailure(`${recipe.name}: npm left out ${missing}`, true)
    writeFileSync(join(folder, MARKER), markerOf(recipe))
    const target = join(cache, recipe.name)
    if (!isInstalled(cache, recipe)) {
      rmSync(target, { recursive: true, force: true })
      renameSync(folder, target)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
  }
}

/** What a registry, or the way to it, does at times and not at others. A release that is not to be had is no such thing. */
const PASSING =
  /\b(ECONNRESET|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENOTFOUND|EPIPE|EIDLETIMEOUT|ERR_SOCKET_TIMEOUT|EINTEGRITY|E429|E5\d\d|network)\b/

class NpmFailure extends Error {
  override readonly name = 'NpmFailure'
  readonly mayPass: boolean

  constructor(message: string, mayPass: boolean) {
    super(message)
    this.mayPass = mayPass
  }
}

function mayPass(error: unknown): boolean {
  return error instanceof NpmFailure && error.mayPass
}

function firstLines(text: string): string {
  return text.split('\n').slice(0, 3).join(' ')
}

/** npm leaves out what is not for the Node that runs it, so that must be the one that runs the releases. */
function pathOfReleases(): string {
  return `${dirname(PINNED_NODE)}${delimiter}${process.env['PATH'] ?? ''}`
}

// `--ignore-scripts`: nothing of the releases runs before a test runs it.
const NPM_INSTALL = [
  'install',
  '--ignore-scripts',
  '--no-audit',
  '--no-fund',
  '--no-package-lock',
  '--prefer-offline',
  '--loglevel=error',
]

function runNpm(folder: string, name: string, options: InstallOptions): Promise<void> {
  const { say, env = {}, boundMs = 600_000 } = options
  return new Promise((resolve, reject) => {
    const npm = spawn('npm', NPM_INSTALL, {
      cwd: folder,
      env: { ...process.env, PATH: pathOfReleases(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const startedAtMs = Date.now()
    const seconds = (): number => Math.round((Date.now() - startedAtMs) / 1000)
    const progress = setInterval(() => say(`still installing after ${seconds()} s`), 20_000)
    let late = false
    const bound = setTimeout(() => {
      late = true
      npm.kill('SIGKILL')
    }, boundMs)
    let said = ''
    for (const stream of [npm.stdout, npm.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    }
    npm.once('error', reject)
    npm.once('close', code => {
      clearInterval(progress)
      clearTimeout(bound)
      if (code === 0) resolve()
      else if (late) reject(new NpmFailure(`${name}: npm install took more than ${boundMs} ms`, true))
      else
        reject(
          new NpmFailure(`${name}: npm install ended with ${code}: ${said.slice(-4000)}`, PASSING.test(said)),
        )
    })
  })
}

if (import.meta.main) await installReal({ say: line => console.log(line) })
