import { randomBytes } from 'node:crypto'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'

// Any number of processes may have it open: a gateway, and the command line beside it.
const store = await openSqliteStore({ path: process.argv[2] ?? '/var/lib/my-app/store.sqlite' })
const gatewayToken = randomBytes(32).toString('base64url')
await store.putGatewayToken(gatewayToken)

// Whoever may write the store can let an identity in that never connected, and whoever holds the store can put it out.
const identity = createEphemeralIdentity()
const answer = await store.registerLocal({ identity, gatewayToken, role: 'operator', name: 'worker' })
await store.revokeDevice(identity.id, { by: { kind: 'store-writer' } })
for (const { name, trust } of (await store.listDevices()).items) console.log(answer.outcome, name, trust)
await store.close()
