import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-sample-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const sample = new URL('../samples/pairing-store.ts', import.meta.url)
const readme = readFileSync(new URL('../../packages/pairing-store/README.md', import.meta.url), 'utf8')

describe('the README', () => {
  test('shows a sample that runs', async () => {
    expect(readme).toContain(readFileSync(sample, 'utf8'))
    const run = await runProgram(sample, { args: [join(directory, 'store.sqlite')] })
    expect(run).toMatchObject({ stderr: '', stdout: 'registered worker revoked\n' })
  })

  test('lists every code that can fail, and no other', () => {
    const errors = readFileSync(
      new URL('../../packages/pairing-store/src/errors.ts', import.meta.url),
      'utf8',
    )
    const table = errors.slice(0, errors.indexOf('export type PairingStoreErrorCode'))
    const codes = [...table.matchAll(/^ {2}([A-Z_]+): \{/gm)].map(match => match[1])
    const listed = [...readme.matchAll(/^\| `([A-Z_]+)` +\|/gm)].map(match => match[1])
    expect(codes.length).toBeGreaterThan(5)
    expect(listed.sort()).toEqual(codes.sort())
  })
})
