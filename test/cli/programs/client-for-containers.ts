// A client in a process of its own: opens an identity by its first argument, connects by its second, as another user where
// one is given, and prints what came of it as one line of JSON.
import { openIdentity } from '@holdfast/identity'
import { connectToGateway, isSpawnerError } from '@holdfast/spawner'
import { becomeUser } from './become-user.ts'

const [place = '{}', wish = '{}', asUid] = process.argv.slice(2)
becomeUser(asUid)
const identity = await openIdentity(JSON.parse(place))
const { id: deviceId, created } = identity
try {
  const options = { ...JSON.parse(place), ...JSON.parse(wish), reconnect: false }
  const connection = await connectToGateway({ role: 'operator', ...options })
  console.log(JSON.stringify({ deviceId, created, scopes: connection.scopes }))
  await connection.close()
} catch (error) {
  if (!isSpawnerError(error)) throw error
  console.log(JSON.stringify({ deviceId, created, code: error.code, detail: error.detail }))
}
