import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cacheDirectory, RECIPES, type Recipe } from './real-versions.ts'

const MARKER = '.installed.json'

/**
 * Install what the suite runs, where it is not there yet. A folder appears under its name only when it is whole, so an
 * install that was cut off, or ran twice at once, leaves nothing that a later run would take for good.
 */
export async function installReal(say: (line: string) => void): Promise<void> {
  const cache = cacheDirectory()
  mkdirSync(cache, { recursive: true })
  for (const recipe of RECIPES) {
    if (isInstalled(cache, recipe)) {
      say(`${recipe.name}: already there`)
      continue
    }
    say(`${recipe.name}: installing into ${cache}`)
    const startedAtMs = Date.now()
    await install(cache, recipe, say)
    say(`${recipe.name}: installed in ${Math.round((Date.now() - startedAtMs) / 1000)} s`)
  }
}

function isInstalled(cache: string, recipe: Recipe): boolean {
  const marker = join(cache, recipe.name, MARKER)
  return existsSync(marker) && readFileSync(marker, 'utf8') === markerOf(recipe)
}

/** A recipe that was changed is another install: the marker is the recipe. */
function markerOf(recipe: Recipe): string {
  return `${JSON.stringify({ manifest: recipe.manifest, files: recipe.files })}\n`
}

async function install(cache: string, recipe: Recipe, say: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(cache, `.${recipe.name}-`))
  try {
    writeFileSync(join(folder, 'package.json'), JSON.stringify(recipe.manifest))
    for (const [name, text] of Object.entries(recipe.files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true })
      writeFileSync(join(folder, name), text)
    }
    await runNpm(folder, line => say(`${recipe.name}: ${line}`))
    if (!existsSync(join(folder, recipe.proof)))
      throw new Error(`${recipe.name}: npm left no ${recipe.proof}`)
    writeFileSync(join(folder, MARKER), markerOf(recipe))
    const target = join(cache, recipe.name)
    if (!isInstalled(cache, recipe)) {
      rmSync(target, { recursive: true, force: true })
      renameSync(folder, target)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** `--ignore-scripts`: nothing of the releases runs before a test runs it. */
function runNpm(folder: string, say: (line: string) => void): Promise<void> {
  const args = [
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
    '--loglevel=error',
  ]
  return new Promise((resolve, reject) => {
    const npm = spawn('npm', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    const startedAtMs = Date.now()
    const progress = setInterval(
      () => say(`still installing after ${Math.round((Date.now() - startedAtMs) / 1000)} s`),
      20_000,
    )
    let said = ''
    for (const stream of [npm.stdout, npm.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    }
    npm.once('error', reject)
    npm.once('close', code => {
      clearInterval(progress)
      if (code === 0) resolve()
      else reject(new Error(`npm install ended with ${code}: ${said.slice(-4000)}`))
    })
  })
}

if (import.meta.main) await installReal(line => console.log(line))
