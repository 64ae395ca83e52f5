import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { createEphemeralIdentity, findIdentity, openIdentity } from '@holdfast/identity'
import { locateState, publishOnce } from '@holdfast/identity/state'
import { childEnvironment, isSpawnerError, spawnAgent } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { programPath } from '../support/processes.ts'
import { freshDirectory, gatewayFor } from './surroundings.ts'

const program = (name: string): string[] => [
  '--conditions=source',
  '--no-warnings',
  programPath(new URL(name, import.meta.url)),
]

async function outputOf(child: ChildProcess): Promise<string> {
  let output = ''
  child.stdout?.on('data', data => {
    output += data
  })
  await once(child, 'close')
  return output
}

describe('the environment of a child', () => {
  test('names the state directory and the device, per app, and nothing else', async () => {
    const directory = await freshDirectory()
    const identity = await openIdentity({ app: 'my-app', directory })
    expect(childEnvironment(identity)).toEqual({
      HOLDFAST_DIR_MY_APP: directory,
      HOLDFAST_DEVICE_MY_APP: identity.id,
    })
  })

  test('an identity in memory has no place to point at: typed error, nothing started', () => {
    const identity = createEphemeralIdentity()
    const attempts = [() => childEnvironment(identity), () => spawnAgent('/does/not/exist', [], { identity })]
    for (const attempt of attempts) {
      try {
        attempt()
        expect.unreachable()
      } catch (error) {
        expect(isSpawnerError(error, 'IDENTITY_IN_MEMORY')).toBe(true)
      }
    }
  })

  test('M3: neither key nor token is in the environment or the arguments of a child', async () => {
    const directory = await freshDirectory()
    const token = 'gateway-token-0123456789-abcdefghij'
    const identity = await openIdentity({ directory })
    await publishOnce(locateState({ directory }), 'gateway-token/token', Buffer.from(token))
    const { secretKey } = JSON.parse(await readFile(join(directory, 'device', 'key.json'), 'utf8'))
    expect(secretKey).toMatch(/^.{40,}$/)
    const script = 'console.log(JSON.stringify([process.env, process.argv, process.execArgv]))'
    const child = spawnAgent(process.execPath, ['--eval', script], {
      identity,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const output = await outputOf(child)
    expect(output).toContain(identity.id)
    expect(output).not.toContain(token)
    expect(output).not.toContain(secretKey)
    expect(child.spawnargs.join(' ')).not.toContain(token)
  })

  test('an env that is given is kept, and a stale place in it is replaced', async () => {
    const directory = await freshDirectory()
    const identity = await openIdentity({ directory })
    const env = { KEPT: 'yes', HOLDFAST_DIR_HOLDFAST: '/elsewhere', HOLDFAST_DEVICE_HOLDFAST: '0'.repeat(64) }
    const script = 'console.log(JSON.stringify(process.env))'
    const child = spawnAgent(process.execPath, ['--eval', script], {
      identity,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    expect(JSON.parse(await outputOf(child))).toEqual({
      KEPT: 'yes',
      HOLDFAST_DIR_HOLDFAST: directory,
      HOLDFAST_DEVICE_HOLDFAST: identity.id,
    })
    expect(env.HOLDFAST_DIR_HOLDFAST).toBe('/elsewhere')
  })
})

describe('a child', () => {
  const children = process.env['HOLDFAST_LONG'] ? 50 : 8

  test(`F07 F13 M21: ${children} children with other cwd, TMPDIR and HOME are the same device and write nothing there`, async () => {
    const directory = await freshDirectory()
    const identity = await openIdentity({ app: 'acme', directory })
    const gateway = await gatewayFor()
    await gateway.leaveNote(directory)
    const before = await readdir(directory, { recursive: true })
    const elsewhere = await realpath(await freshDirectory())
    const homes = Array.from({ length: children }, (_, n) => join(elsewhere, `home-${n}`))
    const reports = await Promise.all(
      homes.map(async home => {
        await mkdir(home)
        const env = { ...process.env, HOME: home, TMPDIR: home, XDG_DATA_HOME: join(home, 'data') }
        const child = spawnAgent(process.execPath, program('child-connects.ts'), {
          identity,
          cwd: home,
          env,
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        return JSON.parse(await outputOf(child))
      }),
    )
    expect(reports).toEqual(
      homes.map(home => ({ deviceId: identity.id, created: false, connectedAs: identity.id, cwd: home })),
    )
    expect(new Set(gateway.connects.map(({ params }) => params.device?.id))).toEqual(new Set([identity.id]))
    expect(await readdir(directory, { recursive: true })).toEqual(before)
    for (const home of homes) expect(await readdir(home)).toEqual([])
  })

  test('M21: without the hand-down the same child is a stranger (negative control)', async () => {
    const directory = await freshDirectory()
    const identity = await openIdentity({ app: 'acme', directory })
    const env = { ...process.env, ...childEnvironment(identity), XDG_DATA_HOME: await freshDirectory() }
    expect(await idIn(env)).toBe(identity.id)
    expect(await idIn({ ...env, HOLDFAST_DIR_ACME: undefined })).not.toBe(identity.id)
  })

  test('M21: a child whose place was not mounted says so instead of becoming a stranger', async () => {
    const directory = await freshDirectory()
    const identity = await openIdentity({ app: 'acme', directory })
    const empty = await freshDirectory()
    const env = { ...process.env, ...childEnvironment(identity), HOLDFAST_DIR_ACME: empty }
    expect(await idIn(env)).toBe('IDENTITY_MISSING')
    expect(await findIdentity({ directory: empty })).toBeNull()
    const other = await freshDirectory()
    await openIdentity({ directory: other })
    expect(await idIn({ ...env, HOLDFAST_DIR_ACME: other })).toBe('IDENTITY_UNEXPECTED')
  })

  async function idIn(env: NodeJS.ProcessEnv): Promise<string> {
    const child = spawn(process.execPath, program('child-opens.ts'), {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    return outputOf(child)
  }
})
