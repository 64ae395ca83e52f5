import { isIdentityError } from '@holdfast/identity'
import { connectToGateway, type GatewayConnection, isSpawnerError } from '@holdfast/spawner'

// A child as a user writes it: it connects with what its parent handed down, and says what it was given.
try {
  const gateway: GatewayConnection = await connectToGateway({
    app: 'consumer',
    role: 'operator',
    scopes: ['operator.read'],
  })
  const answer = await gateway.call('add', { numbers: [19, 23] })
  console.log(
    JSON.stringify({ deviceId: gateway.deviceId, scopes: gateway.scopes, answer, node: process.version }),
  )
  await gateway.close()
} catch (error) {
  console.error(isSpawnerError(error) || isIdentityError(error) ? error.code : error)
  process.exitCode = 1
}
