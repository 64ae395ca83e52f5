// `pnpm bench:store`: measures what a store costs by the number of its devices, and a revocation by the number of gateways;
// writes both into docs/fleet.md, and draws the first. Ends with 1 where a budget does not hold.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { measureRevocations, measureStore, type Table } from './store.ts'

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'fleet.md')
const [BEGIN, END] = ['<!-- measured -->', '<!-- /measured -->']

function textOf({ title, headings, rows, remarks }: Table): readonly string[] {
  const widths = headings.map((_, at) =>
    Math.max(...[headings, ...rows].map(cells => cells[at]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [
    `### ${title}`,
    '',
    line(headings),
    line(widths.map(width => '-'.repeat(width))),
    ...rows.map(line),
    '',
    ...remarks.map(remark => `- ${remark}`),
    '',
  ]
}

const [loadBefore = 0] = loadavg()
const tables = [await measureStore(), await measureRevocations()]
const processors = cpus()
const machine = `${new Date().toISOString().slice(0, 10)}, ${processors.length} × ${processors[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, load before: ${loadBefore.toFixed(1)}.`
const [before = '', rest = ''] = readFileSync(PAGE, 'utf8').split(BEGIN)
const after = rest.split(END)[1] ?? '\n'
const measured = [BEGIN, '', machine, '', ...tables.flatMap(textOf), END].join('\n')
writeFileSync(PAGE, `${before}${measured}${after}`)
console.log(measured)
process.exitCode = tables.every(({ isKept }) => isKept) ? 0 : 1
