// A child as a spawner starts it: it knows its app and what it inherited. For each list of scopes in its arguments it
// connects once, and prints what came of all as one line of JSON.
import { connectToGateway, isSpawnerError } from '@holdfast/spawner'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const [app = '', ...wishes] = process.argv.slice(2)
waitAtBarrier()
const answers: unknown[] = []
for (const wish of wishes) {
  try {
    const scopes = wish.split(',').filter(scope => scope !== '')
    const token = process.env['TEST_GATEWAY_TOKEN']
    const connection = await connectToGateway({
      app,
      role: 'operator',
      scopes,
      reconnect: false,
      ...(token !== undefined && { token }),
    })
    answers.push({
      ok: true,
      deviceId: connection.deviceId,
      connectionId: connection.connectionId,
      scopes: connection.scopes,
    })
    await connection.close()
  } catch (error) {
    answers.push({
      ok: false,
      ...(isSpawnerError(error) ? { code: error.code, detail: error.detail } : { code: String(error) }),
    })
  }
}
console.log(JSON.stringify(answers))
