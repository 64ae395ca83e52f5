// Approves a request of a store as the store's user, and prints the devices that the store then holds.
import { openSqliteStore } from '@holdfast/pairing-store'
import { becomeUser } from './become-user.ts'

const [path = '', requestId = '', asUid] = process.argv.slice(2)
becomeUser(asUid)
const store = await openSqliteStore({ path })
const request = await store.findRequest(requestId)
const by = { kind: 'store-writer' } as const
if (request !== null) await store.approveRequest(requestId, { by, expectedDigest: request.digest })
console.log(JSON.stringify({ found: request !== null, devices: (await store.listDevices()).items }))
await store.close()
