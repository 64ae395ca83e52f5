// So many stores that listen, as so many gateways do, and one that revokes: prints how long they took to hear of it.
import process from 'node:process'
import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openPostgresStore, type PairingStore } from '@holdfast/pairing-store'
import { attempt, CEILING, newToken } from '../../pairing-store/attempts.ts'
import { quantiles } from '../quantiles.ts'

const [url = '', countText = '0'] = process.argv.slice(2)
const listeners = Number(countText)
const ROUNDS = 20

const writer = await openPostgresStore({ url, answerTimeoutMs: 60_000 })
const token = newToken()
await writer.putGatewayToken(token)
await writer.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
const stores: PairingStore[] = []
let revokedMs = 0
let heard: number[] = []
while (stores.length < listeners) {
  const some = await Promise.all(
    Array.from({ length: Math.min(20, listeners - stores.length) }, () =>
      openPostgresStore({ url, maxConnections: 1, answerTimeoutMs: 60_000 }),
    ),
  )
  for (const store of some) {
    store.subscribe(change => change.kind === 'device-changed' && heard.push(performance.now() - revokedMs))
    await store.findGatewayToken()
  }
  stores.push(...some)
}
const all: number[] = []
const commits: number[] = []
for (let round = -1; round < ROUNDS; round += 1) {
  const identity = createEphemeralIdentity()
  await writer.admit(attempt({ identity, token }))
  while (heard.length < listeners) await new Promise(done => setTimeout(done, 10))
  heard = []
  revokedMs = performance.now()
  await writer.revokeDevice(identity.id, { by: { kind: 'store-writer' }, keepRegistration: true })
  const committedMs = performance.now() - revokedMs
  while (heard.length < listeners) await new Promise(done => setTimeout(done, 10))
  // The first round is warming up.
  if (round >= 0) {
    all.push(...heard)
    commits.push(committedMs)
  }
}
console.log(JSON.stringify({ rounds: ROUNDS, heard: quantiles(all), commit: quantiles(commits) }))
process.exit(0)
