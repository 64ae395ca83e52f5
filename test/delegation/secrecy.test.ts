import { spawn } from 'node:child_process'
import crypto from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { secretsIn } from '../identity/secret-spellings.ts'
import { startChild, startInstall } from './gateway.ts'

/** The seeds of the children's keys, as they are made: nothing of the library gives them away. */
const seeds: Buffer[] = []
const { generateKeyPairSync } = crypto

// From the first child on: a key may be made before the child that gets it.
beforeAll(() => {
  crypto.generateKeyPairSync = ((type: 'ed25519') => {
    const pair = generateKeyPairSync(type)
    seeds.push(Buffer.from(pair.privateKey.export({ format: 'jwk' }).d ?? '', 'base64url'))
    return pair
  }) as typeof generateKeyPairSync
  syncBuiltinESMExports()
})
afterAll(() => {
  crypto.generateKeyPairSync = generateKeyPairSync
  syncBuiltinESMExports()
})

/** Every small file below a folder that was written since then. */
function filesBelow(folder: string, sinceMs = 0, depth = 6): string[] {
  if (depth === 0) return []
  return readdirSync(folder, { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesBelow(path, sinceMs, depth - 1)
    const stats = entry.isFile() ? statSync(path, { throwIfNoEntry: false }) : undefined
    return stats !== undefined && stats.mtimeMs >= sinceMs && stats.size < 4_000_000 ? [path] : []
  })
}

function secretsFound(paths: readonly string[]): string[] {
  const found = (path: string) =>
    seeds.flatMap(seed => secretsIn(existsSync(path) ? readFileSync(path) : '', seed))
  return paths.flatMap(path => found(path).map(spelling => `${path}: ${spelling}`))
}

const outside = (pid: number | undefined) => [`/proc/${pid}/environ`, `/proc/${pid}/cmdline`]

describe.skipIf(process.platform !== 'linux')('the secret of a running child', () => {
  test('is in none of its environment, its arguments, the state directory and the temporary folders, in any spelling', async () => {
    const temporary = await mkdtemp(join(tmpdir(), 'secrecy-'))
    onTestFinished(() => rm(temporary, { recursive: true, force: true }))
    const { identity, directory } = await startInstall()
    const env = { ...process.env, TMPDIR: temporary, HOME: temporary }
    const child = startChild(['stay'], { identity, scopes: ['operator.read'], env })
    await child.next()
    expect(seeds.map(({ length }) => length)).toContain(32)
    const { pid } = child.process
    const paths = [...outside(pid), ...filesBelow(directory), ...filesBelow(temporary)]
    expect(paths.length).toBeGreaterThan(4)
    expect(secretsFound(paths)).toEqual([])
  })

  test('would be found, were it there (negative control)', async () => {
    const { identity } = await startInstall()
    startChild(['connect'], { identity, scopes: [] })
    const spelling = seeds[0]?.toString('base64') ?? ''
    const leaking = spawn('sleep', ['60'], { env: { ...process.env, LEAK: `x${spelling}` }, stdio: 'ignore' })
    onTestFinished(() => void leaking.kill('SIGKILL'))
    await new Promise(resolve => leaking.once('spawn', resolve))
    expect(secretsFound(outside(leaking.pid)).length).toBeGreaterThan(0)
  })
})
