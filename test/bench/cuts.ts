import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import process from 'node:process'
import type { RunningGateway } from '@holdfast/gateway'
import { delegate } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'
import { type Quantiles, quantiles } from './quantiles.ts'

const ROUNDS = 40
const PROGRAM = join(import.meta.dirname, 'programs', 'cut.ts')
const WISH = { role: 'operator', scopes: ['operator.read'] }

/** From telling another process to revoke something, until the last of three generations below it is cut. */
export interface Cut extends Quantiles {
  readonly title: string
  readonly rounds: number
}

/** How long a revocation by another process takes to end what stems from it, on SQLite. */
export async function measureCuts(
  gateway: RunningGateway,
  identity: DeviceIdentity,
): Promise<readonly Cut[]> {
  const { store: path } = gateway.location
  const args = ['--conditions=source', '--no-warnings', PROGRAM, path]
  const revoker = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    await once(revoker.stdout, 'data')
    const tell = (subject: string | null): void =>
      void revoker.stdin.write(`${JSON.stringify({ device: identity.id, subject })}\n`)
    const cuts: Cut[] = []
    for (const [title, subjectOf] of Object.entries(SUBJECTS)) {
      const times: number[] = []
      for (let round = 0; round < ROUNDS; round++) {
        const family = await connectFamily(gateway, identity)
        const startedMs = performance.now()
        tell(subjectOf(family))
        await Promise.all(family.ends)
        times.push(performance.now() - startedMs)
        await gateway.store.reinstateDevice(identity.id, { by: { kind: 'store-writer' } })
      }
      cuts.push({ title, rounds: ROUNDS, ...quantiles(times) })
    }
    return cuts
  } finally {
    revoker.stdin.end()
    await once(revoker, 'exit')
  }
}

interface Family {
  readonly delegationId: string
  readonly childId: string
  readonly ends: readonly Promise<unknown>[]
}

/** What is revoked of a family, as a row of the report; `null`: its device. */
const SUBJECTS: Readonly<Record<string, (family: Family) => string | null>> = {
  'revoke a device elsewhere, to the end of all children': () => null,
  'revoke a delegation elsewhere, to the end of all below': ({ delegationId }) => delegationId,
  'revoke a child elsewhere, to the end of all below': ({ childId }) => childId,
}

/** A child, its child, and that one's, each connected. */
async function connectFamily(gateway: RunningGateway, identity: DeviceIdentity): Promise<Family> {
  const { url, gatewayId, gate } = gateway
  const ends: Promise<unknown>[] = []
  const ids: string[] = []
  let giver = { identity, chain: [] as readonly string[] }
  for (const depth of [2, 1, 0]) {
    const holder = createEphemeralIdentity()
    const time = { nowMs: Date.now(), ttlMs: 600_000 }
    const chain = delegate({
      ...{ issuer: giver.identity, chain: giver.chain, holder: holder.publicKey, gatewayId, depth },
      ...time,
      ...WISH,
    })
    giver = { identity: holder, chain }
    ids.push(holder.id)
    const connection = await connectToGateway({
      delegation: giver,
      url,
      gatewayId,
      ...WISH,
      reconnect: false,
    })
    ends.push(connection.closed)
  }
  const [childId = ''] = ids
  const paths = gate.connections().flatMap(({ delegation }) => delegation?.path ?? [])
  const { delegationId } = paths.find(({ holderId }) => holderId === childId) ?? { delegationId: '' }
  return { delegationId, childId, ends }
}
