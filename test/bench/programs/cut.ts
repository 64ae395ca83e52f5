// `cut.ts STORE`: revokes what each line of its input names, as `holdfast revoke` and `holdfast tree revoke` do.
import process from 'node:process'
import { createInterface } from 'node:readline'
import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'

const store = await openSqliteStore({ path: process.argv[2] ?? '' })
const by = { kind: 'store-writer' } as const
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const { device, subject } = JSON.parse(line)
  const deviceId: DeviceId | null = parseDeviceId(device)
  if (deviceId === null) throw new TypeError('not the id of a device')
  if (subject === null) await store.revokeDevice(deviceId, { by, keepRegistration: true })
  else await store.revokeDelegation(deviceId, { by, subject })
}
await store.close()
