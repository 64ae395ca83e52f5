import { once } from 'node:events'
import { startGateway } from '@holdfast/gateway'
import { openIdentity } from '@holdfast/identity'
import { spawnAgent } from '@holdfast/spawner'

// The whole of it in plain JavaScript: an identity, a gateway on its SQLite store, and a child that connects.
const identity = await openIdentity({ app: 'consumer' })
const gateway = await startGateway({ app: 'consumer', trustedLocal: { ceiling: ['operator.read'] } })
const agent = new URL('agent.mjs', import.meta.url).pathname
const child = spawnAgent(process.execPath, [agent], { identity, stdio: ['ignore', 'pipe', 'inherit'] })
let printed = ''
child.stdout?.on('data', chunk => {
  printed += chunk
})
const [exitCode] = await once(child, 'close')
const { items } = await gateway.store.listDevices()
console.log(
  JSON.stringify({
    node: process.version,
    deviceId: identity.id,
    created: identity.created,
    known: items.map(({ deviceId, trust }) => ({ deviceId, trust })),
    exitCode,
    child: exitCode === 0 ? JSON.parse(printed) : null,
  }),
)
await gateway.close()
