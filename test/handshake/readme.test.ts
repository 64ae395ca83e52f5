import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ADMISSION_RULES, answerTo, type Refusal } from '@holdfast/handshake'
import { describe, expect, test } from 'vitest'

const TOP = new URL('../../', import.meta.url)
const readme = await readFile(new URL('packages/handshake/README.md', TOP), 'utf8')
const sample = new URL('test/samples/handshake.ts', TOP)

/** The rows of the table under a heading, without its head. */
function rowsUnder(heading: string): readonly (readonly string[])[] {
  const section = readme.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const rows = section.split('\n').filter(line => /^\|.*[a-z]/.test(line))
  return rows.slice(1).map(row =>
    row
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim()),
  )
}

describe('the README', () => {
  test('shows the sample, word for word', async () => {
    expect(readme).toContain(`\`\`\`ts\n${await readFile(sample, 'utf8')}\`\`\`\n`)
  })

  test('shows a sample that runs as it says', async () => {
    const run = promisify(execFile)
    const { stdout } = await run(process.execPath, ['--conditions=source', fileURLToPath(sample)], {
      cwd: fileURLToPath(TOP),
    })
    expect(stdout).toBe('verified\n')
  })

  test('asks the questions of the rules, in their order', () => {
    const rows = rowsUnder('The rules')
    expect(rows.map(([id]) => id)).toEqual(['1', ...ADMISSION_RULES.map(rule => rule.id)])
    for (const rule of ADMISSION_RULES) expect(rows.find(([id]) => id === rule.id)?.[1]).toBe(rule.asks)
  })

  test('lists every refusal with the close and code that a peer is given', async () => {
    const source = await readFile(new URL('packages/handshake/src/refusals.ts', TOP), 'utf8')
    const codes = [...source.matchAll(/readonly code: '([a-z-]+)'/g)].map(([, code]) => code)
    const rows = rowsUnder('Refusals')
    expect(rows.map(([code]) => code?.replaceAll('`', '')).sort()).toEqual(codes.sort())
    for (const [code, close, detailsCode] of rows) {
      const answer = answerTo({ code: code?.replaceAll('`', '') } as Refusal, { rule: '0' })
      expect([String(answer.closeCode), answer.error.details?.['code']], code).toEqual([
        close,
        detailsCode?.replaceAll('`', '') || undefined,
      ])
    }
  })
})
