import { openIdentity } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'

const { id, created } = await openIdentity({ app: 'acme' })
const connection = await connectToGateway({ app: 'acme', role: 'operator', scopes: ['operator.read'] })
const report = { deviceId: id, created, connectedAs: connection.deviceId, cwd: process.cwd() }
process.stdout.write(JSON.stringify(report))
await connection.close()
