import { openIdentity } from '@holdfast/identity'
import { connectToGateway, spawnAgent } from '@holdfast/spawner'

if (process.argv[2] !== 'agent') {
  // The parent opens the install's identity, and starts itself once more as an agent that belongs to it.
  const identity = await openIdentity({ app: 'my-app' })
  const args = [...process.execArgv, import.meta.filename, 'agent']
  spawnAgent(process.execPath, args, { identity, stdio: 'inherit' })
} else {
  // The agent finds gateway, key and token of that install by itself. Whatever fails is an error with a code.
  const gateway = await connectToGateway({ app: 'my-app', role: 'operator', scopes: ['operator.read'] })
  console.log('connected as', gateway.deviceId, await gateway.call('health'))
  await gateway.close()
}
