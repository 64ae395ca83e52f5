import { existsSync } from 'node:fs'
import { createEphemeralIdentity } from '@holdfast/identity'
import { createRealHome, startRealGateway } from '../openclaw/real-gateway.ts'
import { commandFile } from '../openclaw/real-versions.ts'
import type { Table } from './measure.ts'
import { startPeer } from './peer.ts'
import { FAMILIES } from './programs/bench-client.ts'
import { BENCH_TOKEN } from './programs/gate-seed.ts'
import { type Quantiles, quantiles } from './quantiles.ts'

const DEVICES = [0, 1_000, 100_000, 1_000_000] as const
/** Handshakes in a round, by how many are under way at once. */
const COUNTS = { 1: 600, 16: 2_400 } as const
/** Before the first round, of each server: V8 compiles the last of its functions after some ten thousand. */
const WARM_UP = 12_000
/** Before each round, of the client, which is a new process. */
const CLIENT_WARM_UP = 200
const ROUNDS = 7
const LEAST_RATIO = 0.8

/** A server in a process of its own. */
interface Server extends Address {
  usage(): Promise<{ readonly cpuMicros: number; readonly rssBytes: number }>
  end(): Promise<void>
}

interface Address {
  readonly port: number
  readonly gatewayId: string
}

async function startServer(...words: readonly string[]): Promise<Server> {
  const peer = await startPeer<Address>('gate-server', ...words)
  return { ...peer.ready, usage: () => peer.ask(''), end: peer.end }
}

interface Round {
  readonly perSecond: number
  readonly times: readonly number[]
  /** CPU of the server, each handshake. */
  readonly cpuMicros: number
}

async function playRound(server: Server, family: string, parallel: Parallel): Promise<Round> {
  const count = COUNTS[parallel]
  let before = 0
  const wanted = { family, parallel, count, warmUp: CLIENT_WARM_UP }
  const played = await play(server, wanted, async () => {
    before = (await server.usage()).cpuMicros
  })
  const after = (await server.usage()).cpuMicros
  return { ...played, cpuMicros: (after - before) / count }
}

/**
 * Handshakes with a server, by a client in a process of its own.
 *
 * @param onWarm called when it is about to begin with what is measured
 */
async function play(
  { port, gatewayId }: Address,
  { family, parallel, count, warmUp }: Play,
  onWarm: () => Promise<void> = async () => undefined,
): Promise<Omit<Round, 'cpuMicros'>> {
  const words = [port, gatewayId, family, parallel, count, warmUp].map(String)
  const client = await startPeer<null>('gate-client', ...words)
  await onWarm()
  const { tookMs, times } = await client.ask<Played>('')
  await client.end()
  return { perSecond: (count / tookMs) * 1_000, times }
}

type Parallel = keyof typeof COUNTS

interface Play {
  readonly family: string
  readonly parallel: Parallel
  readonly count: number
  readonly warmUp: number
}

/** What the client prints. */
interface Played {
  readonly tookMs: number
  readonly times: readonly number[]
}

interface Result extends Quantiles {
  readonly perSecond: number
  readonly cpuMicros: number
}

function resultOf(rounds: readonly Round[]): Result {
  return {
    ...quantiles(rounds.flatMap(round => round.times)),
    perSecond: quantiles(rounds.map(round => round.perSecond)).p50,
    cpuMicros: quantiles(rounds.map(round => round.cpuMicros)).p50,
  }
}

/** Handshakes with the gate, beside a bare server doing the same cryptography, in turns. */
export async function measureGate(): Promise<Table> {
  const rows: (readonly string[])[] = []
  let isKept = true
  for (const family of FAMILIES) {
    const p99s = new Map<number, number>()
    for (const devices of DEVICES) {
      const servers = { ours: await startServer('ours', String(devices)), bare: await startServer('bare') }
      for (const server of [servers.ours, servers.bare])
        await play(server, { family, parallel: 16, count: WARM_UP, warmUp: 0 })
      for (const parallel of [1, 16] as const) {
        const { ours, bare, ratio } = await inTurns(servers, family, parallel)
        const memory = [servers.ours, servers.bare].map(async server => (await server.usage()).rssBytes / 1e6)
        const [oursMb = 0, bareMb = 0] = await Promise.all(memory)
        if (parallel === 1) p99s.set(devices, ours.p99)
        const slower = ours.p99 / (p99s.get(1_000) ?? Number.POSITIVE_INFINITY)
        const holds = ratio >= LEAST_RATIO && (parallel !== 1 || slower <= 2)
        isKept &&= holds
        rows.push([
          family,
          devices.toLocaleString('en'),
          String(parallel),
          `${ours.perSecond.toFixed(0)} / ${bare.perSecond.toFixed(0)}`,
          ratio.toFixed(2),
          `${ours.p50.toFixed(2)} / ${bare.p50.toFixed(2)}`,
          `${ours.p99.toFixed(2)} / ${bare.p99.toFixed(2)}`,
          `${ours.cpuMicros.toFixed(0)} / ${bare.cpuMicros.toFixed(0)}`,
          `${oursMb.toFixed(0)} / ${bareMb.toFixed(0)}`,
          holds ? 'kept' : '**missed**',
        ])
      }
      await servers.ours.end()
      await servers.bare.end()
    }
  }
  rows.push(...(await rowsOfOpenClaw()))
  return {
    title: 'Gate',
    headings: [
      ...['family', 'devices', 'at once', 'handshakes/s', 'ratio', 'p50, ms', 'p99, ms'],
      ...['CPU each, µs', 'memory, MB', 'budgets'],
    ],
    rows,
    isKept,
    remarks: [
      'Memory is the resident set after thousands of handshakes in a row, most of it garbage that Node has not collected yet.',
      'Ours / bare: the gate, and a bare `ws` server that does the same cryptography and nothing else. Each in a process of its own, the client in a third, on the same machine. One device comes again and again: the gate knows its key, the bare server reads it anew each time.',
      `Budgets: ratio ≥ ${LEAST_RATIO}; p99 one at a time ≤ 2 × that with 1,000 devices.`,
      `Medians of ${ROUNDS} rounds of ${COUNTS[1]} (one at a time) and ${COUNTS[16]} handshakes (16 at once), in turns; the ratio is the median of those of the rounds, each with what was measured right beside it; after ${WARM_UP.toLocaleString('en')} that are not counted; quantiles over all of them.`,
    ],
  }
}

/** The same clients at the real one with an empty store, where `pnpm test:openclaw` has installed it. */
async function rowsOfOpenClaw(): Promise<readonly (readonly string[])[]> {
  const version = '2026.9.6'
  if (!existsSync(commandFile(version))) return []
  const home = createRealHome()
  const gateway = await startRealGateway(version, { ...home, gatewayToken: BENCH_TOKEN })
  try {
    const rows: (readonly string[])[] = []
    for (const parallel of [1, 16] as const) {
      const count = COUNTS[parallel] / 2
      const server = { port: gateway.port, gatewayId: createEphemeralIdentity().id }
      const { perSecond, times } = await play(server, { family: 'v3', parallel, count, warmUp: 100 })
      const { p50, p99 } = quantiles(times)
      const nothing = ['–', '–', '–']
      rows.push([
        `OpenClaw ${version}, v3`,
        '0',
        String(parallel),
        perSecond.toFixed(0),
        '–',
        p50.toFixed(2),
        p99.toFixed(2),
        ...nothing,
      ])
    }
    return rows
  } finally {
    await gateway.stop()
    home.remove()
  }
}

async function inTurns(
  servers: { readonly ours: Server; readonly bare: Server },
  family: string,
  parallel: Parallel,
): Promise<{ readonly ours: Result; readonly bare: Result; readonly ratio: number }> {
  const rounds: Record<'ours' | 'bare', Round[]> = { ours: [], bare: [] }
  for (let round = 0; round < ROUNDS; round += 1) {
    const names = round % 2 === 0 ? (['ours', 'bare'] as const) : (['bare', 'ours'] as const)
    for (const name of names) rounds[name].push(await playRound(servers[name], family, parallel))
  }
  const ratios = rounds.ours.map((round, at) => round.perSecond / (rounds.bare[at]?.perSecond ?? Number.NaN))
  return { ours: resultOf(rounds.ours), bare: resultOf(rounds.bare), ratio: quantiles(ratios).p50 }
}
