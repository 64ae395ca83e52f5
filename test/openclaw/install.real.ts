import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type InstallOptions, installReal } from './install-real.ts'
import type { Recipe } from './real-versions.ts'

/** A recipe that needs no registry: its one dependency lies in its own folder. */
const LOCAL: Recipe = {
  name: 'local',
  manifest: { private: true, dependencies: { stub: 'file:./stub' } },
  files: { 'stub/package.json': JSON.stringify({ name: 'stub', version: '1.0.0' }) },
  proof: 'node_modules/stub/package.json',
}
const ABSENT: Recipe = {
  name: 'absent',
  manifest: { private: true, dependencies: { 'holdfast-absent': '1.0.0' } },
  files: {},
  proof: 'node_modules/holdfast-absent/package.json',
}

/** A registry that answers each question with this status. */
function registryOf(status: number): Promise<Server> {
  const server = createServer((_request, response) => {
    asked += 1
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}')
  })
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve(server)))
}

let asked = 0
let cache: string
let lines: string[]
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'holdfast-install-'))
  lines = []
  asked = 0
})
afterEach(() => rmSync(cache, { recursive: true, force: true }))

const options = (recipe: Recipe, env: Readonly<Record<string, string>> = {}): InstallOptions => ({
  say: line => lines.push(line),
  cache,
  recipes: [recipe],
  attempts: 2,
  pauseMs: 1,
  env: { npm_config_cache: join(cache, 'npm'), npm_config_fetch_retries: '0', ...env },
})

async function failAt(status: number): Promise<unknown> {
  const registry = await registryOf(status)
  const { port } = registry.address() as AddressInfo
  const env = { npm_config_registry: `http://127.0.0.1:${port}/` }
  const failure = await installReal(options(ABSENT, env)).catch((error: unknown) => error)
  registry.closeAllConnections()
  registry.close()
  return failure
}

describe('installing what the suite runs', () => {
  test('is done once, says so, and is done again where the folder is not whole or not of this recipe', async () => {
    await installReal(options(LOCAL))
    expect(existsSync(join(cache, 'local', LOCAL.proof))).toBe(true)
    expect(lines.at(-1)).toMatch(/^local: installed in \d+ s$/)
    await installReal(options(LOCAL))
    expect(lines.at(-1)).toBe('local: already there')
    writeFileSync(join(cache, 'local', '.installed.json'), 'of another recipe')
    await installReal(options(LOCAL))
    expect(lines.at(-1)).toMatch(/^local: installed in \d+ s$/)
    expect(readdirSync(cache).filter(name => name.startsWith('.'))).toEqual([])
  })

  test('fails for good where the release is not to be had, and leaves nothing', async () => {
    const failure = await failAt(404)
    expect(failure).toBeInstanceOf(AggregateError)
    expect(String(failure)).toContain('E404')
    expect(lines.filter(line => line.includes('installing into'))).toHaveLength(1)
    expect(readdirSync(cache).filter(name => name.includes('absent'))).toEqual([])
  })

  test('is tried again where the registry is out of order, and then fails with what npm said', async () => {
    const failure = await failAt(503)
    expect(failure).toBeInstanceOf(AggregateError)
    expect(String(failure)).toContain('503')
    expect(asked).toBe(2)
    expect(lines.filter(line => line.includes('installing into'))).toHaveLength(2)
    expect(existsSync(join(cache, 'absent'))).toBe(false)
  })

  test('is no install where npm left out a build that it may leave out', async () => {
    const stub = { name: 'stub', version: '1.0.0', optionalDependencies: { 'stub-build': 'file:../absent' } }
    const recipe = {
      ...LOCAL,
      files: { 'stub/package.json': JSON.stringify(stub) },
      needBuild: ['stub'],
    }
    await expect(installReal(options(recipe))).rejects.toThrow('left out')
    expect(existsSync(join(cache, 'local'))).toBe(false)
  })

  test('is given up where it takes longer than its bound', async () => {
    const bounded = installReal({ ...options(LOCAL), attempts: 1, boundMs: 1 })
    await expect(bounded).rejects.toThrow('took more than 1 ms')
  })
})

describe('what a release starts', () => {
  test('ends by itself when the test run is gone, and not before', async () => {
    const gone = spawnSync(process.execPath, ['--version']).pid
    const preload = new URL('./ends-with-the-tests.mjs', import.meta.url).href
    const start = (runner: number) =>
      spawn(process.execPath, [`--import=${preload}`, '-e', 'process.stdin.resume()'], {
        env: { ...process.env, HOLDFAST_TEST_RUNNER: String(runner) },
        stdio: ['pipe', 'ignore', 'ignore'],
      })
    const [orphan, child] = [start(gone), start(process.pid)]
    expect(await new Promise(resolve => orphan.once('exit', resolve))).toBe(1)
    expect(child.exitCode).toBe(null)
    child.kill()
  })
})
