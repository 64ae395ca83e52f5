// A real gateway on a state directory and a store, in a process of its own. `memory`: what it holds, in bytes; a device id:
// revokes that device here, and says when that began and how long the call took. Ends with its input.
import process from 'node:process'
import { createInterface } from 'node:readline'
import { startGateway } from '@holdfast/gateway'
import type { DeviceId } from '@holdfast/identity'
import { readGatewayToken } from '@holdfast/identity/state'
import { CEILING } from '../../pairing-store/attempts.ts'
import { machineMs } from '../machine-time.ts'

const [directory = '', store = ''] = process.argv.slice(2)
const gateway = await startGateway({ directory, store, trustedLocal: { ceiling: CEILING } })
const { url, gatewayId, location } = gateway
console.log(JSON.stringify({ url, gatewayId, token: await readGatewayToken(location) }))
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'memory') console.log(JSON.stringify(process.memoryUsage.rss()))
  else {
    const by = { kind: 'store-writer' } as const
    const startedMs = machineMs()
    await gateway.store.revokeDevice(line as DeviceId, { by, keepRegistration: true })
    console.log(JSON.stringify({ startedMs, tookMs: machineMs() - startedMs }))
  }
}
await gateway.close()
process.exit(0)
