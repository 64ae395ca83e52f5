import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type PostgresServer, startPostgres } from '../pairing-store/postgres-server.ts'
import { upTo } from './bounds.ts'
import type { Table } from './measure.ts'
import { runToAnswer, startPeer } from './peer.ts'
import { type Quantiles, quantiles, quantilesText } from './quantiles.ts'
import type { Gateway } from './store.ts'

const LISTENERS = upTo('HOLDFAST_BENCH_GATEWAYS', [100, 1_000])
const ROUNDS = 200
const FAN_OUT_ROUNDS = 30
const MOST_MS = { SQLite: 500, PostgreSQL: 100 } as const

interface Measured {
  readonly what: string
  readonly backEnd: keyof typeof MOST_MS
  readonly rounds: number
  /** From before the call until the last thing that is waited for. */
  readonly until: Quantiles
  readonly call: Quantiles
}

/** How long after a revocation a device is cut at another gateway, and how long many gateways take to hear of one. */
export async function measureRevocations(): Promise<Table> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-revocations-'))
  const server = await startPostgres({ flags: ['-c', 'max_connections=2300', '-c', 'fsync=on'] })
  try {
    const rows = [
      await cutByProcess(join(folder, 'alone'), 'SQLite', join(folder, 'store.sqlite')),
      ...(await cutInFleet(folder, await server.createDatabase('fleet'))),
    ]
    for (const listeners of LISTENERS) rows.push(await fanOut(folder, server, listeners))
    return tableOf(rows)
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Cut {
  readonly cuts: readonly number[]
  readonly calls: readonly number[]
}

async function cutByProcess(
  directory: string,
  backEnd: Measured['backEnd'],
  place: string,
): Promise<Measured> {
  const gateway = await startPeer<Gateway>('fleet-gateway', directory, place)
  const { url, gatewayId, token } = gateway.ready
  const cut = await runToAnswer<Cut>('cut-by-revocation', url, gatewayId, token, place, String(ROUNDS))
  await gateway.end()
  return measured('another process revokes, a gateway cuts', backEnd, cut)
}

/** Two gateways on one store. */
async function cutInFleet(folder: string, place: string): Promise<readonly Measured[]> {
  const [one, other] = [join(folder, 'one'), join(folder, 'other')]
  await (await startPeer<Gateway>('fleet-gateway', one, place)).end()
  // What makes another machine the same gateway is in the state directory.
  cpSync(one, other, { recursive: true })
  const here = await startPeer<Gateway>('fleet-gateway', one, place)
  const there = await startPeer<Gateway>('fleet-gateway', other, place)
  const { url, gatewayId, token } = there.ready
  const client = await startPeer<string | Cut>('cut-by-revocation', url, gatewayId, token, '', String(ROUNDS))
  let said = client.ready
  while (typeof said === 'string') {
    await here.ask(said)
    said = await client.ask('')
  }
  await here.end()
  await there.end()
  return [
    measured('one gateway revokes, another cuts', 'PostgreSQL', said),
    await cutByProcess(other, 'PostgreSQL', place),
  ]
}

function measured(what: string, backEnd: Measured['backEnd'], { cuts, calls }: Cut): Measured {
  return { what, backEnd, rounds: cuts.length, until: quantiles(cuts), call: quantiles(calls) }
}

/** A real gateway revokes; as many open stores as there would be other gateways hear of it. */
async function fanOut(folder: string, server: PostgresServer, listeners: number): Promise<Measured> {
  console.error(`revocations: ${listeners} gateways listen`)
  const place = await server.createDatabase(`listeners-${listeners}`)
  const gateway = await startPeer<Gateway>('fleet-gateway', join(folder, `before-${listeners}`), place)
  const words = [place, gateway.ready.token, String(listeners), String(FAN_OUT_ROUNDS)]
  const all = await startPeer<string | Quantiles>('fan-out', ...words)
  const calls: number[] = []
  let said = all.ready
  while (typeof said === 'string') {
    const { startedMs, tookMs } = await gateway.ask<Revoked>(said)
    calls.push(tookMs)
    said = await all.ask(String(startedMs))
  }
  await gateway.end()
  const what = `${listeners.toLocaleString('en')} others listen, and hear of it`
  return {
    ...{ what, backEnd: 'PostgreSQL', rounds: FAN_OUT_ROUNDS },
    ...{ until: said, call: quantiles(calls.slice(1)) },
  }
}

/** What `fleet-gateway` says of a revocation. */
interface Revoked {
  readonly startedMs: number
  readonly tookMs: number
}

function tableOf(rows: readonly Measured[]): Table {
  const holds = ({ backEnd, until }: Measured) => until.p99 <= MOST_MS[backEnd]
  return {
    title: 'Revocations',
    headings: ['what', 'back end', 'revocations', 'until then, ms', 'the call itself, ms', 'budget, p99'],
    rows: rows.map(row => [
      ...[row.what, row.backEnd, String(row.rounds), quantilesText(row.until), quantilesText(row.call)],
      `≤ ${MOST_MS[row.backEnd]} ms: ${holds(row) ? 'kept' : '**missed**'}`,
    ]),
    isKept: rows.every(holds),
    remarks: [
      'p50 / p99, from before the call that revokes. A cut: until the client, in a process of its own, sees its socket closed with 4001. A gateway on a file looks at it ten times a second.',
      'Those that listen: as many open stores, all in one process beside the one that revokes and the server. Each asks the server what has changed, so that their questions and answers share the processors of this one machine; in a fleet each listener has its own, and the server answers all.',
    ],
  }
}
