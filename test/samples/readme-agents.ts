import { openIdentity } from '@holdfast/identity'
import { connectToGateway, spawnAgent } from '@holdfast/spawner'

if (process.argv[2] !== 'agent') {
  const identity = await openIdentity({ app: 'my-agents' })
  const args = [...process.execArgv, import.meta.filename, 'agent']
  for (let count = 0; count < 5; count++) spawnAgent(process.execPath, args, { identity, stdio: 'inherit' })
} else {
  const gateway = await connectToGateway({ app: 'my-agents', role: 'operator', scopes: ['operator.write'] })
  console.log(gateway.deviceId.slice(0, 12), await gateway.call('greet', 'agent'))
  await gateway.close()
}
