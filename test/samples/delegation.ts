import { openIdentity } from '@holdfast/identity'
import { connectToGateway, spawnAgent } from '@holdfast/spawner'

const TASKS = ['read', 'write', 'approvals', 'questions', 'talk']
const [agent, task] = process.argv.slice(2)
const args = [...process.execArgv, import.meta.filename, 'agent']

if (agent === undefined) {
  // Five subagents, each with the one scope that its task needs. None can see more of the gateway than that, or for long;
  // but as the same user each could read the install's key file: start them as another user, or in a container, where it matters.
  const identity = await openIdentity({ app: 'my-app' })
  for (const each of TASKS) {
    const depth = each === 'write' ? 1 : 0
    spawnAgent(process.execPath, [...args, each], {
      identity,
      scopes: [`operator.${each}`],
      ttlMs: 600_000,
      depth,
      stdio: 'inherit',
    })
  }
} else {
  const gateway = await connectToGateway()
  console.log(task, gateway.scopes.join(' '))
  if (task === 'write') {
    // This one may start a child of its own, by a right that is narrower still.
    const child = spawnAgent(process.execPath, [...args, 'nested'], {
      connection: gateway,
      scopes: ['operator.read'],
      stdio: 'inherit',
    })
    await new Promise(resolve => child.once('exit', resolve))
  }
  await gateway.close()
}
