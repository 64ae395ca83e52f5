import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGateway } from '@holdfast/gateway'
import { delegate } from '@holdfast/handshake'
import { createEphemeralIdentity, openIdentity } from '@holdfast/identity'
import { connectToGateway, spawnAgent } from '@holdfast/spawner'
import { compare, type Section } from './measure.ts'

/** The most that a right of its own may add to the start of a child, at the median. */
const MOST_ADDED_MS = 2
const QUIET = { stdio: 'ignore' } as const

/** What a right of its own costs: to give, and to be admitted by. */
export async function measureDelegation(): Promise<Section> {
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
    const spawning = await compare({
      title: 'start a child with a right of its own, to its end',
      unit: 'ms',
      against: '`spawn` of the same program',
      rounds: 200,
      ours: () => once(spawnAgent('true', [], { identity, scopes: wish.scopes, ...QUIET }), 'exit'),
      bare: () => once(spawn('true', [], QUIET), 'exit'),
    })
    const admission = await compare({
      title: 'connect by a delegation, to the end',
      unit: 'ms',
      against: 'connect as the device',
      rounds: 300,
      budget: 2,
      ours: async () => (await connectToGateway({ delegation, url, gatewayId, ...wish })).close(),
      bare: async () => (await connectToGateway({ ...asDevice, url, gatewayId })).close(),
    })
    const addedMs = spawning.ours - spawning.bare
    const verdict = addedMs <= MOST_ADDED_MS ? '' : ', **missed**'
    const added = `A right of its own adds ${addedMs.toFixed(2)} ms to the start of a child (budget: ${MOST_ADDED_MS} ms${verdict}).`
    return {
      title: 'delegation',
      comparisons: [spawning, admission],
      remarks: [
        added,
        'Both ends of a connection run in this process; the device shows its key, and no token file is read.',
      ],
    }
  } finally {
    await gateway.close()
    await rm(directory, { recursive: true, force: true })
  }
}
