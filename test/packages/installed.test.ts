import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { installedNodes } from '../runtimes/nodes.ts'
import { compile, installInto, type Project } from './project.ts'

const nodes = installedNodes()
const projects = new Map<number, Project>()
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-consumer-'))
  for (const { major, path } of nodes) {
    projects.set(major, await installInto(join(folder, `node-${major}`), inject('tarballs'), path))
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Where the one compilation of the TypeScript program lies, for every version to run. */
const compiled = (): string => join(folder, 'compiled')

function projectOf(major: number): Project {
  const project = projects.get(major)
  if (project === undefined) throw new Error(`nothing was installed with Node ${major}`)
  return project
}

test('there are three versions of Node to run on: 22, 24 and 26', () => {
  expect(nodes.map(({ version }) => version.split('.')[0])).toEqual(['v22', 'v24', 'v26'])
})

describe('for TypeScript', () => {
  test.each(['nodenext', 'bundler'] as const)(
    'a strict program compiles under %s, dependencies’ types too',
    async how => {
      const project = projectOf(22)
      await compile(project, how, how === 'nodenext' ? compiled() : null)
    },
  )

  test('a program that is wrong does not compile', async () => {
    const project = projectOf(26)
    await cp(join(import.meta.dirname, 'consumer', 'wrong.ts.txt'), join(project.folder, 'agent.ts'))
    await expect(compile(project, 'nodenext', null)).rejects.toThrow(/TS2307[\s\S]*TS2322/)
  })
})

describe.each(nodes)('installed with Node $version', ({ major, version }) => {
  test('npm ran on it, and asked no registry for our names', async () => {
    const { stdout } = await projectOf(major).run('npm', 'version', '--json')
    expect(`v${JSON.parse(stdout).node}`).toBe(version)
    expect(projectOf(major).installLog).toMatch(/ws/)
    expect(projectOf(major).installLog).not.toMatch(/https?:\S*holdfast/)
  })

  test('JavaScript creates an identity, starts a gateway, and its child connects', async () => {
    const { stdout } = await projectOf(major).run('node', 'main.mjs')
    const { deviceId, ...said } = JSON.parse(stdout)
    expect(deviceId).toMatch(/^[0-9a-f]{64}$/)
    expect(said).toMatchObject({
      node: version,
      created: true,
      known: [{ deviceId, trust: 'trusted-local' }],
      exitCode: 0,
      child: { node: version, deviceId, scopes: ['operator.read'], answer: { ok: true } },
    })
  })

  test('what TypeScript compiled does the same with a store and a method of its own', async () => {
    const project = projectOf(major)
    await cp(compiled(), join(project.folder, 'compiled'), {
      recursive: true,
      force: true,
    })
    const { stdout } = await project.run('node', 'compiled/main.js')
    const { deviceId, ...said } = JSON.parse(stdout)
    expect(said).toMatchObject({
      node: version,
      verified: true,
      wish: { role: 'operator', scopes: ['operator.write'] },
      admitted: [deviceId],
      known: [{ deviceId, trust: 'trusted-local' }],
      exitCode: 0,
      child: { node: version, deviceId, scopes: ['operator.read'], answer: { sum: 42 } },
    })
  })

  test('CommonJS takes it with require', async () => {
    const { stdout, stderr } = await projectOf(major).run('node', 'legacy.cjs')
    expect(JSON.parse(stdout)).toMatchObject({ node: version, createGate: 'function' })
    expect(stderr).not.toContain('ERR_REQUIRE')
  })

  test('npx holdfast id tells the identity that the program made, and nothing else', async () => {
    const { folder: cwd, run } = projectOf(major)
    const { stdout } = await run('npx', '--no-install', 'holdfast', 'id', '--app', 'consumer', '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      deviceId: expect.stringMatching(/^[0-9a-f]{64}$/),
      created: false,
      path: expect.stringContaining(cwd),
    })
  })

  test('npx holdfast demo does the main job with what was installed', async () => {
    const { stdout } = await projectOf(major).run(
      'npx',
      '--no-install',
      'holdfast',
      'demo',
      '--children',
      '2',
      '--fresh',
    )
    expect(stdout).toContain('1 device · 8 connections admitted · 0 refused · 0 prompts')
  })

  test('a command line with nothing to say on standard error says nothing there', async () => {
    const { stdout, stderr } = await projectOf(major).run(
      'node',
      'node_modules/holdfast/dist/main.js',
      'devices',
      '--app',
      'consumer',
      '--json',
    )
    expect(JSON.parse(stdout)).toMatchObject({ devices: [{ trust: 'trusted-local' }] })
    expect(stderr).toBe('')
  })
})
