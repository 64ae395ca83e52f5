import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { startPostgres } from '../pairing-store/postgres-server.ts'
import { drawCurves } from './curves.ts'
import type { Quantiles } from './quantiles.ts'

const SIZES = [1_000, 10_000, 100_000, 1_000_000]
const LISTENERS = [100, 1_000]
const DRAWING = join(import.meta.dirname, '..', '..', 'docs', 'store-at-scale.svg')
/** What the design allows: admission p99 with the most devices to that with the fewest, and resident memory. */
const MOST_RATIO = 2
const MOST_RESIDENT_MIB = 150
const MOST_HEARD_MS = 100

interface AtSize {
  readonly size: number
  readonly registerMs: number
  readonly admission: Quantiles
  readonly lookup: Quantiles
  readonly page: Quantiles
  readonly seenMs: number
  readonly residentMiB: number
  readonly diskMiB: number
}

interface FanOut {
  readonly listeners: number
  readonly heard: Quantiles
  readonly commit: Quantiles
}

/** One section of the report. */
export interface Table {
  readonly title: string
  readonly headings: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly isKept: boolean
  readonly remarks: readonly string[]
}

/** What a store costs by the number of its devices, on both back ends. Draws it as well. */
export async function measureStore(): Promise<Table> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-store-'))
  const server = await startPostgres({ flags: ['-c', 'shared_buffers=256MB', '-c', 'fsync=on'] })
  try {
    const sqlite: AtSize[] = []
    const postgres: AtSize[] = []
    for (const size of SIZES) {
      sqlite.push(await run<AtSize>('store-at-size', join(folder, `${size}.sqlite`), String(size)))
      const url = await server.createDatabase(`bench-${size}`)
      postgres.push(await run<AtSize>('store-at-size', url, String(size)))
    }
    writeFileSync(DRAWING, drawing(sqlite, postgres))
    return tableOf(sqlite, postgres)
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** How long gateways take to hear of a revocation, by their number. */
export async function measureRevocations(): Promise<Table> {
  const server = await startPostgres({ flags: ['-c', 'max_connections=2300', '-c', 'fsync=on'] })
  try {
    const rows: FanOut[] = []
    for (const count of LISTENERS) {
      const url = await server.createDatabase(`listeners-${count}`)
      rows.push(await run<FanOut>('fan-out', url, String(count)))
    }
    const isKept = rows.every(({ heard }) => heard.p99 <= MOST_HEARD_MS)
    return {
      title: 'Revocations',
      headings: ['gateways that listen', 'heard p50', 'heard p99', 'the call p50', 'the call p99'],
      rows: rows.map(({ listeners, heard, commit }) => [
        String(listeners),
        ...[heard.p50, heard.p99, commit.p50, commit.p99].map(ms),
      ]),
      isKept,
      remarks: [
        'From before the call that revokes until a store on PostgreSQL tells its listener, who then cuts the socket. So many stores in one process, each with a connection of its own, all beside the server.',
        `Budget: heard p99 at most ${MOST_HEARD_MS} ms. ${isKept ? 'It holds.' : '**Missed.**'}`,
      ],
    }
  } finally {
    await server.stop()
  }
}

function tableOf(sqlite: readonly AtSize[], postgres: readonly AtSize[]): Table {
  const missed = [...flawsOf('SQLite', sqlite), ...flawsOf('PostgreSQL', postgres)]
  const budgets = `p99 of an admission with ${SIZES.at(-1)} devices at most ${MOST_RATIO} × that with ${SIZES[0]}; the process at most ${MOST_RESIDENT_MIB} MiB`
  return {
    title: 'Store',
    headings: [
      'back end',
      'devices',
      'admission p50',
      'p99',
      'any device p50',
      'p99',
      'page of 100 p50',
      'p99',
      'register',
      'process',
      'on disk',
    ],
    rows: [...sqlite.map(row => rowOf('SQLite', row)), ...postgres.map(row => rowOf('PostgreSQL', row))],
    isKept: missed.length === 0,
    remarks: [
      '![Admission by the number of devices](store-at-scale.svg)',
      'Admission: of 200 devices that come back, without the cryptography. Any device: one by its id, on other pages each time.',
      `Budgets: ${budgets}. ${missed.length === 0 ? 'They hold.' : `**Missed**: ${missed.join('; ')}.`}`,
      'PostgreSQL runs on the same machine, and syncs to the same disk; its own memory is not counted.',
    ],
  }
}

function flawsOf(name: string, rows: readonly AtSize[]): string[] {
  const [fewest, most] = [rows[0], rows.at(-1)]
  if (fewest === undefined || most === undefined) return []
  const ratio = most.admission.p99 / fewest.admission.p99
  const largest = Math.max(...rows.map(({ residentMiB }) => residentMiB))
  return [
    ...(ratio > MOST_RATIO ? [`${name}: admission ${ratio.toFixed(2)} ×`] : []),
    ...(largest > MOST_RESIDENT_MIB ? [`${name}: ${Math.round(largest)} MiB`] : []),
  ]
}

function rowOf(name: string, row: AtSize): readonly string[] {
  const { admission, lookup, page } = row
  const times = [admission.p50, admission.p99, lookup.p50, lookup.p99, page.p50, page.p99, row.registerMs]
  const sizes = [row.residentMiB, row.diskMiB].map(mib => `${mib.toFixed(mib < 10 ? 1 : 0)} MiB`)
  return [name, row.size.toLocaleString('en'), ...times.map(ms), ...sizes]
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 3 : 1)} ms`
}

function drawing(sqlite: readonly AtSize[], postgres: readonly AtSize[]): string {
  const curve = (rows: readonly AtSize[], which: 'p50' | 'p99') =>
    rows.map(({ size, admission }) => ({ x: size, y: admission[which] }))
  return drawCurves({
    title: 'An admission, by the number of devices',
    x: 'devices',
    y: 'ms',
    curves: [
      { name: 'SQLite p50', colour: '#2a78c2', points: curve(sqlite, 'p50') },
      { name: 'SQLite p99', colour: '#8ab9e6', points: curve(sqlite, 'p99') },
      { name: 'PostgreSQL p50', colour: '#b3541e', points: curve(postgres, 'p50') },
      { name: 'PostgreSQL p99', colour: '#e6a884', points: curve(postgres, 'p99') },
    ],
  })
}

async function run<Result>(program: string, ...words: readonly string[]): Promise<Result> {
  const file = join(import.meta.dirname, 'programs', `${program}.ts`)
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--conditions=source',
    '--no-warnings',
    file,
    ...words,
  ])
  return JSON.parse(stdout) as Result
}
