// `pnpm bench`: measures what the packages cost beside the same without them, side by side in one run, and writes
// BENCHMARKS.md. Ends with 1 where a budget does not hold.
import { writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { measureIdentity } from './identity.ts'
import type { Comparison, Section } from './measure.ts'

const FILE = join(import.meta.dirname, '..', '..', 'BENCHMARKS.md')

/** Every part of the report, in its order. */
const PARTS: readonly (() => Promise<Section>)[] = [measureIdentity]

function machine(loadBefore: number): readonly string[] {
  const processors = cpus()
  return [
    '# Benchmarks',
    '',
    'Written by `pnpm bench`; not edited by hand. Each line was measured in turns with what it is compared to, in one run: the',
    'ratio is what counts, the times are this machine’s. Medians.',
    '',
    `- ${new Date().toISOString().slice(0, 10)}, ${processors.length} × ${processors[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    `- Node ${process.version} (OpenSSL ${process.versions.openssl}), ${process.platform} ${release()}`,
    `- load before: ${loadBefore.toFixed(1)}`,
    '',
  ]
}

function tableOf({ title, comparisons, remarks }: Section): readonly string[] {
  return [
    `## ${title}`,
    '',
    '| what | ours | bare | ratio | budget | against | rounds |',
    '|---|---|---|---|---|---|---|',
    ...comparisons.map(rowOf),
    '',
    ...remarks.map(remark => `- ${remark}`),
    '',
  ]
}

function rowOf(one: Comparison): string {
  const time = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ${one.unit}`
  const budget = one.budget === null ? '–' : `≤ ${one.budget}${holds(one) ? '' : ', **missed**'}`
  const ratio = (one.ours / one.bare).toFixed(2)
  return `| ${one.title} | ${time(one.ours)} | ${time(one.bare)} | ${ratio} | ${budget} | ${one.against} | ${one.rounds} |`
}

function holds({ ours, bare, budget }: Comparison): boolean {
  return budget === null || ours / bare <= budget
}

const [loadBefore = 0] = loadavg()
const sections: Section[] = []
for (const measure of PARTS) sections.push(await measure())
const text = [...machine(loadBefore), ...sections.flatMap(tableOf)].join('\n')
writeFileSync(FILE, text)
console.log(text)
process.exitCode = sections.every(({ comparisons }) => comparisons.every(holds)) ? 0 : 1
