import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGateway } from '@holdfast/gateway'
import { delegate } from '@holdfast/handshake'
import { createEphemeralIdentity, openIdentity } from '@holdfast/identity'
import { connectToGateway, spawnAgent } from '@holdfast/spawner'
import { type Cut, measureCuts } from './cuts.ts'
import { compare, type Table, tableOf } from './measure.ts'

/** The most that a right of its own may add to the start of a child, at the median. */
const MOST_ADDED_MS = 2
/** The longest until a revocation by another process is carried out, at p99. */
const MOST_CUT_MS = 500
const QUIET = { stdio: 'ignore' } as const

/** What a right of its own costs: to give, to be admitted by, and to take back. */
export async function measureDelegation(): Promise<Table> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-bench-'))
  const gateway = await startGateway({ directory, trustedLocal: { ceiling: ['operator.read'] } })
  try {
    const identity = await openIdentity({ directory })
    const wish = { role: 'operator', scopes: ['operator.read'] }
    const { url, gatewayId } = gateway
    const asDevice = { directory, identity, ...wish }
    await (await connectToGateway(asDevice)).close()
    const holder = createEphemeralIdentity()
    const given = {
      issuer: identity,
      holder: holder.publicKey,
      gatewayId,
      nowMs: Date.now(),
      ttlMs: 3_600_000,
    }
    const delegation = { identity: holder, chain: delegate({ ...given, ...wish }) }
    const admission = await compare({
      title: 'connect by a delegation, to the end',
      unit: 'ms',
      against: 'connect as the device',
      rounds: 300,
      budget: 2,
      ours: async () => (await connectToGateway({ delegation, url, gatewayId, ...wish })).close(),
      bare: async () => (await connectToGateway({ ...asDevice, url, gatewayId })).close(),
    })
    const cuts = await measureCuts(gateway, identity)
    const spawning = await compare({
      title: 'start a child with a right of its own, to its end',
      unit: 'ms',
      against: '`spawn` of the same program',
      rounds: 200,
      ours: () => once(spawnAgent('true', [], { identity, scopes: wish.scopes, ...QUIET }), 'exit'),
      bare: () => once(spawn('true', [], QUIET), 'exit'),
    })
    const addedMs = spawning.ours - spawning.bare
    const verdict = addedMs <= MOST_ADDED_MS ? '' : ', **missed**'
    const added = `A right of its own adds ${addedMs.toFixed(2)} ms to the start of a child (budget: ${MOST_ADDED_MS} ms${verdict}).`
    const remarks = [
      added,
      'Both ends of a connection run in this process; the device shows its key, and no token file is read.',
      'Revoked by another process that has the store open, on SQLite: p50, the budget is for p99. Three generations below the device are connected.',
    ]
    const compared = tableOf({ title: 'Delegation', comparisons: [spawning, admission], remarks })
    return {
      ...compared,
      rows: [...compared.rows, ...cuts.map(rowOf)],
      isKept: compared.isKept && addedMs <= MOST_ADDED_MS && cuts.every(isKept),
    }
  } finally {
    await gateway.close()
    await rm(directory, { recursive: true, force: true })
  }
}

function isKept({ p99 }: Cut): boolean {
  return p99 <= MOST_CUT_MS
}

function rowOf(cut: Cut): readonly string[] {
  const { title, p50, p99, rounds } = cut
  const budget = `p99 ${p99.toFixed(0)} ≤ ${MOST_CUT_MS} ms${isKept(cut) ? '' : ', **missed**'}`
  return [title, `${p50.toFixed(1)} ms`, '–', '–', budget, '–', String(rounds)]
}
