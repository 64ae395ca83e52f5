import { once } from 'node:events'
import { CallError, type Connection, type GateMethod, startGateway } from '@holdfast/gateway'
import { BUILT_IN_ROLES, defineRoles, parseWish, type RoleTable, type Wish } from '@holdfast/handshake'
import { type DeviceIdentity, openIdentity, verifySignature } from '@holdfast/identity'
import { locateState, type StateLocation } from '@holdfast/identity/state'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { spawnAgent } from '@holdfast/spawner'

// A program as a user writes it, with every package and types from each: its own store, a method, and one child.
const identity: DeviceIdentity = await openIdentity({ app: 'consumer' })
const message = Buffer.from('\0consumer/greeting\0hello')
const location: StateLocation = locateState({ app: 'consumer' })
const store: PairingStore = await openSqliteStore({ path: location.store })
const add: GateMethod = {
  scopes: ['operator.read'],
  handle: params => {
    const { numbers } = params as { readonly numbers?: readonly number[] }
    if (numbers === undefined) throw new CallError('INVALID_REQUEST', 'numbers are missing')
    return { sum: numbers.reduce((sum, each) => sum + each, 0) }
  },
}
const admitted: Connection['deviceId'][] = []
const gateway = await startGateway({
  app: 'consumer',
  store,
  trustedLocal: { ceiling: ['operator.read', 'operator.write'] },
  methods: { add },
})
gateway.onConnection(connection => admitted.push(connection.deviceId))
const roles: RoleTable = defineRoles(BUILT_IN_ROLES)
const wish: Wish | null = parseWish(roles, 'operator', ['operator.write'])

const agent = new URL(process.argv[2] ?? 'agent.js', import.meta.url).pathname
const child = spawnAgent(process.execPath, [agent], { identity, stdio: ['ignore', 'pipe', 'inherit'] })
let printed = ''
child.stdout?.on('data', (chunk: Buffer) => {
  printed += chunk.toString()
})
const [exitCode] = await once(child, 'close')

const { items } = await store.listDevices()
console.log(
  JSON.stringify({
    node: process.version,
    deviceId: identity.id,
    verified: verifySignature(identity.publicKey, message, identity.sign(message)),
    wish,
    admitted,
    known: items.map(({ deviceId, trust }) => ({ deviceId, trust })),
    exitCode,
    child: exitCode === 0 ? JSON.parse(printed) : null,
  }),
)
await gateway.close()
await store.close()
