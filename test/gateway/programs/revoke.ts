// Another process of the same user: it revokes a device in the store, and says when that was acknowledged.
import { parseDeviceId } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'

const [path = '', id = ''] = process.argv.slice(2)
const deviceId = parseDeviceId(id)
if (deviceId === null) throw new TypeError('a device id is needed')
const store = await openSqliteStore({ path })
await new Promise(resolve => process.stdin.once('data', resolve))
const answer = await store.revokeDevice(deviceId, { by: { kind: 'store-writer' } })
console.log(JSON.stringify({ outcome: answer.outcome, atMs: Date.now() }))
await store.close()
process.exit(0)
