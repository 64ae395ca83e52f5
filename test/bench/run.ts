// `pnpm bench [PART…]`: measures what the packages cost beside the same without them, side by side in one run, and writes
// the sections of those parts in BENCHMARKS.md; the others stay as they are. The tables of fleets go into docs/fleet.md as
// well. Ends with 1 where a budget does not hold. HOLDFAST_BENCH_DEVICES and HOLDFAST_BENCH_GATEWAYS bound how many there are.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { measureAdmission } from './admission.ts'
import { measureDelegation } from './delegation.ts'
import { measureGate } from './gate.ts'
import { measureIdentity } from './identity.ts'
import { type Table, tableOf } from './measure.ts'
import { measureRevocations } from './revocations.ts'
import { measureStore } from './store.ts'

const FILE = join(import.meta.dirname, '..', '..', 'BENCHMARKS.md')
const FLEET_PAGE = join(import.meta.dirname, '..', '..', 'docs', 'fleet.md')

/** Every part of the report, in its order. */
const PARTS: Readonly<Record<string, () => Promise<Table>>> = {
  identity: async () => tableOf(await measureIdentity()),
  gate: measureGate,
  admission: measureAdmission,
  store: measureStore,
  revocations: measureRevocations,
  delegation: measureDelegation,
}

const HEAD = [
  '# Benchmarks',
  '',
  'Written by `pnpm bench`; not edited by hand. Each line was measured in turns with what it is compared to, in one run: the',
  'ratio is what counts, the times are this machine’s. Medians, unless a table says otherwise.',
]

function machine(loadBefore: number): string {
  const processors = cpus()
  const parts = [
    new Date().toISOString().slice(0, 10),
    `${processors.length} × ${processors[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `Node ${process.version} (OpenSSL ${process.versions.openssl}), ${process.platform} ${release()}`,
    `load before: ${loadBefore.toFixed(1)}`,
  ]
  return `${parts.join(' · ')}`
}

function textOf({ title, remarks }: Table, measured: string): string {
  return [`## ${title}`, '', measured, '', ...remarks.map(remark => `- ${remark}`), ''].join('\n')
}

/** The machine and the table, in columns as the formatter wants them. */
function measuredText({ headings, rows }: Table, loadBefore: number): string {
  const widths = headings.map((_, at) =>
    Math.max(...[headings, ...rows].map(cells => cells[at]?.length ?? 0)),
  )
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  const rule = line(widths.map(width => '-'.repeat(width)))
  return [machine(loadBefore), '', line(headings), rule, ...rows.map(line)].join('\n')
}

/** Between the marks of this table, where the page has them. */
function copyToFleetPage(title: string, measured: string): void {
  const [begin, end] = [`<!-- measured: ${title} -->`, `<!-- /measured: ${title} -->`]
  const page = readFileSync(FLEET_PAGE, 'utf8')
  const [before = '', rest] = page.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) return
  writeFileSync(FLEET_PAGE, [before, begin, '\n\n', measured, '\n\n', end, after].join(''))
}

/** The sections that are there, by their titles. */
function readSections(): Map<string, string> {
  const [, ...sections] = readFileSync(FILE, 'utf8').split(/^(?=## )/m)
  return new Map(sections.map(section => [/^## (.*)$/m.exec(section)?.[1] ?? '', `${section.trimEnd()}\n`]))
}

const words = process.argv.slice(2)
const unknown = words.find(word => !Object.hasOwn(PARTS, word))
if (unknown !== undefined)
  throw new TypeError(`no part ${unknown}; there are ${Object.keys(PARTS).join(', ')}`)
let isKept = true
for (const part of words.length === 0 ? Object.keys(PARTS) : words) {
  const [loadBefore = 0] = loadavg()
  const table = await PARTS[part]?.()
  if (table === undefined) continue
  isKept &&= table.isKept
  // Read anew each time: another part may have been measured meanwhile.
  const measured = measuredText(table, loadBefore)
  const sections = readSections().set(table.title, textOf(table, measured))
  writeFileSync(FILE, [...HEAD, '', [...sections.values()].join('\n')].join('\n'))
  copyToFleetPage(table.title, measured)
  console.log(sections.get(table.title))
}
process.exitCode = isKept ? 0 : 1
