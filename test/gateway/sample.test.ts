import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createEphemeralIdentity } from '@holdfast/identity'
import { locateState, readGatewayNote } from '@holdfast/identity/state'
import { describe, expect, test } from 'vitest'
import { startProgram } from '../support/processes.ts'
import { attempt } from './raw-client.ts'
import { until } from './test-gate.ts'

const sample = new URL('../samples/gateway.ts', import.meta.url)
const read = (path: string) =>
  readFileSync(new URL(`../../packages/gateway/${path}`, import.meta.url), 'utf8')

describe('the README', () => {
  test('shows a sample that runs, admits, answers, and ends when it is told to', async () => {
    expect(read('README.md')).toContain(readFileSync(sample, 'utf8'))
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-sample-'))
    const location = locateState({ directory })
    const program = startProgram(sample, { env: { HOLDFAST_DIR_MY_APP: directory } })
    await until(async () => (await readGatewayNote(location)) !== null)
    const note = await readGatewayNote(location)
    if (note === null) throw new Error('no note')
    const token = readFileSync(location.gatewayToken, 'utf8')
    const identity = createEphemeralIdentity()
    const { peer } = await attempt(note.url, { identity, token, scopes: ['operator.write'] })
    peer.send({ type: 'req', id: '1', method: 'note.add', params: 'buy milk' })
    expect(await peer.next()).toMatchObject({ ok: true, payload: [identity.id, 'buy milk'] })
    program.kill('SIGTERM')
    expect(await peer.closed).toEqual({ code: 1012, reason: 'gateway shutting down' })
    const { stdout, stderr, exitCode } = await program.outcome
    expect({ stdout, stderr, exitCode }).toEqual({
      stdout: `listening ${note.url}\nadmitted\nclosed\n`,
      stderr: '',
      exitCode: 0,
    })
    expect(await readGatewayNote(location)).toBeNull()
    await rm(directory, { recursive: true, force: true })
  })

  test('lists every code that can fail, and no other', () => {
    const errors = read('src/errors.ts')
    const table = errors.slice(0, errors.indexOf('export type GatewayErrorCode'))
    const codes = [...table.matchAll(/^ {2}([A-Z_]+): /gm)].map(match => match[1])
    const listed = [...read('README.md').matchAll(/^\| `([A-Z_]+)` +\|/gm)].map(match => match[1])
    expect(codes.length).toBeGreaterThan(5)
    expect(listed.sort()).toEqual(codes.sort())
  })

  test('the version that hello-ok names is the package’s', () => {
    const { version } = JSON.parse(read('package.json')) as { version: string }
    expect(read('src/hello.ts')).toContain(`'holdfast-${version}'`)
  })
})
