import { readFileSync } from 'node:fs'
import { openIdentity } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { freshDirectory, gatewayFor, WISH } from './surroundings.ts'

const folder = new URL('../../packages/spawner/', import.meta.url)
const read = (url: URL): string => readFileSync(url, 'utf8')
const readme = read(new URL('README.md', folder))
const sample = new URL('../samples/spawner.ts', import.meta.url)

describe('the README', () => {
  test('shows a sample that runs: a child connects as the device of its parent', async () => {
    expect(readme).toContain(read(sample))
    const directory = await freshDirectory()
    const gateway = await gatewayFor({ call: () => ({ ok: true }) })
    await gateway.leaveNote(directory)
    const { id } = await openIdentity({ directory })
    const { stdout, stderr } = await runProgram(sample, { env: { HOLDFAST_DIR_MY_APP: directory } })
    expect(stderr).toBe('')
    expect(stdout).toBe(`connected as ${id} { ok: true }\n`)
  })

  test('lists every code that can fail, and no other', () => {
    const errors = read(new URL('src/errors.ts', folder))
    const table = errors.slice(0, errors.indexOf('export type SpawnerErrorCode'))
    const codes = [...table.matchAll(/^ {2}([A-Z_]+): /gm)].map(match => match[1])
    const listed = [...readme.matchAll(/^\| `([A-Z_]+)` +\|/gm)].map(match => match[1])
    expect(codes.length).toBeGreaterThan(10)
    expect(listed.sort()).toEqual(codes.sort())
  })
})

test('a client names the version of the package', async () => {
  const gateway = await gatewayFor()
  const identity = await openIdentity({ directory: await freshDirectory() })
  await (await connectToGateway({ identity, url: gateway.url, ...WISH })).close()
  const { version } = JSON.parse(read(new URL('package.json', folder)))
  expect(gateway.connects[0]?.params.client.version).toBe(version)
})
