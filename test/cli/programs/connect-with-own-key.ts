// What Holdfast ends: a child that makes a key of its own for every start.
import { readFileSync } from 'node:fs'
import { createEphemeralIdentity } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const [url = '', tokenFile = ''] = process.argv.slice(2)
const identity = createEphemeralIdentity()
const token = readFileSync(tokenFile, 'utf8').trim()
waitAtBarrier()
const connection = await connectToGateway({
  identity,
  url,
  token,
  role: 'operator',
  scopes: ['operator.read'],
  protocol: 'openclaw',
})
await connection.close()
console.log(JSON.stringify({ ok: true }))
