import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../pairing-store/postgres-server.ts'
import { upTo } from './bounds.ts'
import { drawCurves } from './curves.ts'
import type { Table } from './measure.ts'
import { type Peer, startPeer } from './peer.ts'
import { type Quantiles, quantiles, quantilesText } from './quantiles.ts'

const SIZES = upTo('HOLDFAST_BENCH_DEVICES', [1_000, 10_000, 100_000, 1_000_000])
const DRAWING = join(import.meta.dirname, '..', '..', 'docs', 'store-at-scale.svg')
/** What is measured of a store, in this order. */
const ACTS = [
  ...['admission', 'device', 'page', 'search by id', 'search by name', 'search that finds all', 'last seen'],
] as const
const ROUNDS = 8
const HANDSHAKES = 60
/** How many devices connect to a gateway, in turns. */
const CLIENTS = 100
/** What the design allows: p99 with the most devices to that with the fewest, and what a gateway holds. */
const MOST_RATIO = 2
const MOST_GATEWAY_BYTES = 150e6

interface AtSize {
  readonly backEnd: 'SQLite' | 'PostgreSQL'
  readonly size: number
  readonly place: string
  readonly registration: Quantiles
  readonly diskBytes: number
  readonly acts: ReadonlyMap<string, Quantiles>
  readonly handshake: Quantiles
  readonly gatewayBytes: number
}

type Made = Pick<AtSize, 'backEnd' | 'size' | 'place'>
type Stored = Omit<AtSize, 'handshake' | 'gatewayBytes'>

/** What a store costs by the number of its devices, and a gateway on it, on both back ends. Draws it as well. */
export async function measureStore(): Promise<Table> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-store-'))
  const server = await startPostgres({ flags: ['-c', 'shared_buffers=256MB', '-c', 'fsync=on'] })
  try {
    const made: Made[] = []
    for (const size of SIZES) made.push({ backEnd: 'SQLite', size, place: join(folder, `${size}.sqlite`) })
    for (const size of SIZES)
      made.push({ backEnd: 'PostgreSQL', size, place: await server.createDatabase(`bench-${size}`) })
    const all = await measureGateways(folder, await measureStores(made))
    writeFileSync(DRAWING, drawingOf(all))
    return tableOf(all)
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Of all sizes in turns, so that what else the machine does falls on all of them. */
async function measureStores(made: readonly Made[]): Promise<readonly Stored[]> {
  const stores: { readonly one: Made; readonly peer: Peer<Seeded>; readonly times: Map<string, number[]> }[] =
    []
  for (const one of made) {
    progress(`${one.backEnd}: making ${one.size} devices`)
    const peer = await startPeer<Seeded>('store-at-size', one.place, String(one.size))
    stores.push({ one, peer, times: new Map(ACTS.map(act => [act, []])) })
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    progress(`stores: round ${round + 1} of ${ROUNDS}`)
    for (const act of ACTS) {
      for (const { peer, times } of stores) times.get(act)?.push(...(await peer.ask<readonly number[]>(act)))
    }
  }
  await Promise.all(stores.map(({ peer }) => peer.end()))
  return stores.map(({ one, peer: { ready }, times }) => ({
    ...one,
    registration: quantiles(ready.registrations),
    diskBytes: ready.diskBytes,
    acts: new Map([...times].map(([act, each]) => [act, quantiles(each)])),
  }))
}

interface Seeded {
  readonly registrations: readonly number[]
  readonly diskBytes: number
}

/** A real gateway on each store, and a client of each, in turns as well. */
async function measureGateways(folder: string, stores: readonly Stored[]): Promise<readonly AtSize[]> {
  const running: { readonly store: Stored; readonly gateway: Peer<Gateway>; readonly client: Peer<null> }[] =
    []
  for (const store of stores) {
    const directory = join(folder, `gateway-${store.backEnd}-${store.size}`)
    const gateway = await startPeer<Gateway>('fleet-gateway', directory, store.place)
    const { url, gatewayId, token } = gateway.ready
    const client = await startPeer<null>('handshakes', url, gatewayId, token, String(CLIENTS))
    running.push({ store, gateway, client })
  }
  const times = running.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round += 1) {
    progress(`gateways: round ${round + 1} of ${ROUNDS}`)
    for (const [at, { client }] of running.entries()) {
      times[at]?.push(...(await client.ask<readonly number[]>(String(HANDSHAKES))))
    }
  }
  const all: AtSize[] = []
  for (const [at, { store, gateway, client }] of running.entries()) {
    const gatewayBytes = await gateway.ask<number>('memory')
    await Promise.all([client.end(), gateway.end()])
    all.push({ ...store, handshake: quantiles(times[at] ?? []), gatewayBytes })
  }
  return all
}

/** What `fleet-gateway` prints first. */
export interface Gateway {
  readonly url: string
  readonly gatewayId: string
  readonly token: string
}

function progress(text: string): void {
  console.error(text)
}

function tableOf(all: readonly AtSize[]): Table {
  const missed = [...flawsOf(all, 'SQLite'), ...flawsOf(all, 'PostgreSQL')]
  return {
    title: 'Store',
    headings: [
      ...['back end', 'devices', 'admission, ms', 'handshake, ms', 'one device, ms', 'page of 100, ms'],
      ...['search by id, ms', 'search by name, ms', 'search that finds all, ms', 'registration, ms'],
      ...['500 last-seen times, ms', 'gateway, MB', 'on disk, MB'],
    ],
    rows: all.map(rowOf),
    isKept: missed.length === 0,
    remarks: [
      '![Admission by the number of devices](docs/store-at-scale.svg)',
      'p50 / p99 of all rounds, the sizes and back ends in turns. Admission: one of 200 devices comes back, without the cryptography. Handshake: one of 100 clients connects to a real gateway on that store, from dialling to hello, both ends on this machine. The others: of devices anywhere in the store, whose names are all alike up to a number; each search gives its first page.',
      'Gateway: the resident memory of its process after some hundred handshakes. Each program runs as JavaScript, as it is published.',
      'PostgreSQL runs on the same machine, and syncs to the same disk; its own memory is not counted.',
      `Budgets: p99 of an admission, and of a handshake, with ${SIZES.at(-1)?.toLocaleString('en')} devices at most ${MOST_RATIO} × that with ${SIZES[0]?.toLocaleString('en')}; the gateway at most ${MOST_GATEWAY_BYTES / 1e6} MB. ${missed.length === 0 ? 'They hold.' : `**Missed**: ${missed.join('; ')}.`}`,
    ],
  }
}

function flawsOf(all: readonly AtSize[], backEnd: AtSize['backEnd']): string[] {
  const rows = all.filter(each => each.backEnd === backEnd)
  const [fewest, most] = [rows[0], rows.at(-1)]
  if (fewest === undefined || most === undefined) return []
  const admission = (row: AtSize) => row.acts.get('admission')?.p99 ?? Number.NaN
  const ratios = [
    ['admission', admission(most) / admission(fewest)],
    ['handshake', most.handshake.p99 / fewest.handshake.p99],
  ] as const
  const largest = Math.max(...rows.map(({ gatewayBytes }) => gatewayBytes))
  return [
    ...ratios
      .filter(([, ratio]) => !(ratio <= MOST_RATIO))
      .map(([what, ratio]) => `${backEnd}: ${what} ${ratio.toFixed(2)} ×`),
    ...(largest > MOST_GATEWAY_BYTES ? [`${backEnd}: a gateway of ${megabytes(largest)} MB`] : []),
  ]
}

function rowOf(row: AtSize): readonly string[] {
  const { backEnd, size, acts, handshake, registration, gatewayBytes, diskBytes } = row
  const [admission, ...others] = ACTS.map(act => quantilesText(acts.get(act)))
  const seen = others.pop() ?? ''
  return [
    ...[backEnd, size.toLocaleString('en'), admission ?? '', quantilesText(handshake), ...others],
    ...[quantilesText(registration), seen, megabytes(gatewayBytes), megabytes(diskBytes)],
  ]
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0)
}

function drawingOf(all: readonly AtSize[]): string {
  const curve = (backEnd: AtSize['backEnd'], which: 'p50' | 'p99') =>
    all
      .filter(each => each.backEnd === backEnd)
      .map(({ size, acts }) => ({ x: size, y: acts.get('admission')?.[which] ?? Number.NaN }))
  return drawCurves({
    title: 'An admission, by the number of devices',
    x: 'devices',
    y: 'ms',
    curves: [
      { name: 'SQLite p50', colour: '#2a78c2', points: curve('SQLite', 'p50') },
      { name: 'SQLite p99', colour: '#8ab9e6', points: curve('SQLite', 'p99') },
      { name: 'PostgreSQL p50', colour: '#b3541e', points: curve('PostgreSQL', 'p50') },
      { name: 'PostgreSQL p99', colour: '#e6a884', points: curve('PostgreSQL', 'p99') },
    ],
  })
}
