// A child that the machine does not run between its proof and the answer, for longer than an attempt may take.
import { createEphemeralIdentity } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'

const [url = ''] = process.argv.slice(2)
const identity = createEphemeralIdentity()
const { id, publicKey, createdAtMs, created, location } = identity

const connection = await connectToGateway({
  identity: {
    ...{ id, publicKey, createdAtMs, created, location },
    sign: message => {
      setImmediate(() => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_200))
      return identity.sign(message)
    },
  },
  url,
  role: 'operator',
  scopes: ['operator.read'],
  protocol: 'openclaw',
  connectTimeoutMs: 0,
  handshakeTimeoutMs: 3_000,
})
process.stdout.write(JSON.stringify({ connectedAs: connection.deviceId }))
await connection.close()
