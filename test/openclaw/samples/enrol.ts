import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw, openClawClient } from '@holdfast/openclaw'
import { connectToGateway } from '@holdfast/spawner'

const url = process.env['OPENCLAW_GATEWAY_URL'] ?? 'ws://127.0.0.1:18789'
const token = process.env['OPENCLAW_GATEWAY_TOKEN'] ?? ''

// Once, before any child: the gateway gets to know this install, with everything that it may ever ask for.
const identity = await openIdentity({ app: 'my-app' })
const enrolment = await enrollWithOpenClaw({ identity, url, token })
if (enrolment.outcome === 'approval-needed') throw new Error(`first run: ${enrolment.command}`)
for (const done of enrolment.did) console.log(done.act)

// From then on, in this process and in each child, in any order: no request, no prompt.
const client = openClawClient(identity)
for (const scope of ['operator.read', 'operator.write', 'operator.admin']) {
  const wish = { role: 'operator', scopes: [scope], protocol: 'openclaw', client } as const
  const gateway = await connectToGateway({ identity, url, token, ...wish })
  console.log('let in with', scope)
  await gateway.close()
}
