import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const TOP = new URL('../../', import.meta.url)
const text = readFileSync(new URL('SECURITY.md', TOP), 'utf8')

/** The points under a heading, each with the tests that it names. */
function pointsUnder(
  heading: string,
): { readonly promise: string; readonly shownBy: readonly NamedTest[] }[] {
  const section = text.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  return section
    .split(/^- /m)
    .slice(1)
    .map(point => ({ promise: point.split('\n')[0] ?? '', shownBy: testsIn(point) }))
}

interface NamedTest {
  readonly file: string
  readonly title: string
}

function testsIn(point: string): NamedTest[] {
  return [...point.matchAll(/`(test\/[^`]+)`:\s"([^"]+)"/g)].map(([, file = '', title = '']) => ({
    file,
    title,
  }))
}

/** Is there a test in that file whose title begins so? Titles stand in the source as they are written here. */
function isThere({ file, title }: NamedTest): boolean {
  const source = new URL(file, TOP)
  if (!existsSync(source)) return false
  const code = readFileSync(source, 'utf8').replaceAll("\\'", "'")
  return new RegExp(`\\(\\s*['"\`]${escaped(title)}`).test(code)
}

function escaped(literal: string): string {
  return literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

describe('SECURITY.md', () => {
  const points = pointsUnder('What is promised, and what shows it')

  test('names at least one test for every promise, each of which is there', () => {
    expect(points.length).toBeGreaterThan(15)
    expect(points.filter(({ shownBy }) => shownBy.length === 0)).toEqual([])
    expect(points.flatMap(({ shownBy }) => shownBy).filter(named => !isThere(named))).toEqual([])
  })

  test('would not pass with a test that is not there (negative control)', () => {
    const [first] = points.flatMap(({ shownBy }) => shownBy)
    expect(first && isThere({ ...first, title: `${first.title} and more` })).toBe(false)
    expect(first && isThere({ ...first, file: 'test/none.test.ts' })).toBe(false)
  })
})
