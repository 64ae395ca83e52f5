import { connectToGateway } from '@holdfast/spawner'

// A child in plain JavaScript.
const gateway = await connectToGateway({ app: 'consumer', role: 'operator', scopes: ['operator.read'] })
const answer = await gateway.call('health')
console.log(
  JSON.stringify({ deviceId: gateway.deviceId, scopes: gateway.scopes, answer, node: process.version }),
)
await gateway.close()
