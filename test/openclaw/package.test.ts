import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const folder = new URL('../../packages/openclaw/', import.meta.url)
const read = (url: URL): string => readFileSync(url, 'utf8')
const readme = read(new URL('README.md', folder))

// That the sample runs is shown where there is something to run it against: `docs.real.ts`.
describe('the README', () => {
  test('shows the sample that is run against the real releases', () => {
    expect(readme).toContain(read(new URL('./samples/enrol.ts', import.meta.url)))
  })

  test('lists every code that can fail, and no other', () => {
    const errors = read(new URL('src/errors.ts', folder))
    const table = errors.slice(0, errors.indexOf('export type OpenClawErrorCode'))
    const codes = [...table.matchAll(/^ {2}([A-Z_]+): /gm)].map(match => match[1])
    const listed = [...readme.matchAll(/^\| `([A-Z_]+)` +\|/gm)].map(match => match[1])
    expect(codes.length).toBeGreaterThan(5)
    expect(listed.filter(code => code !== 'OPENCLAW_SCOPES').sort()).toEqual(codes.sort())
  })
})
