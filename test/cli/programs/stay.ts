// A child that stays connected, until it is told to end: it prints a line for each socket, and one at its end.
import { connectToGateway } from '@holdfast/spawner'

const [app = '', scopes = 'operator.read'] = process.argv.slice(2)
const connection = await connectToGateway({
  app,
  role: 'operator',
  scopes: scopes.split(','),
  onLifecycle: notice => console.log(JSON.stringify(notice)),
})
console.log(JSON.stringify({ kind: 'connected', connectionId: connection.connectionId }))
const { code, reason, refusal } = await connection.closed
console.log(JSON.stringify({ kind: 'closed', code, reason, refusal }))
