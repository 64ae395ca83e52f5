import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { freshFolder } from './state-folder.ts'

const sample = new URL('../samples/identity.ts', import.meta.url)
const readme = readFileSync(new URL('../../packages/identity/README.md', import.meta.url), 'utf8')

describe('the README', () => {
  test('shows a sample that runs, and tells the same identity at the next start', async () => {
    expect(readme).toContain(readFileSync(sample, 'utf8'))
    const env = { HOLDFAST_DIR_MY_APP: freshFolder() }
    const first = await runProgram(sample, { env })
    const second = await runProgram(sample, { env })
    expect([first.stderr, second.stderr]).toEqual(['', ''])
    expect(first.stdout).toMatch(/^created [0-9a-f]{64}\nverified true\n$/)
    expect(second.stdout).toBe(first.stdout.replace('created', 'found'))
  })

  test('lists every code that can fail, and no other', () => {
    const errors = readFileSync(new URL('../../packages/identity/src/errors.ts', import.meta.url), 'utf8')
    const table = errors.slice(0, errors.indexOf('export type IdentityErrorCode'))
    const codes = [...table.matchAll(/^ {2}([A-Z_]+): \{/gm)].map(match => match[1])
    const listed = [...readme.matchAll(/^\| `([A-Z_]+)` +\|/gm)].map(match => match[1])
    expect(codes.length).toBeGreaterThan(5)
    expect(listed.sort()).toEqual(codes.sort())
  })
})
