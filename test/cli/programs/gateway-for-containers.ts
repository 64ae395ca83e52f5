// A gateway in a process of its own, bound to an address, and as another user where one is given: one line once it listens.
import { startGateway } from '@holdfast/gateway'
import { becomeUser } from './become-user.ts'

const [directory = '', host = '', asUid] = process.argv.slice(2)
becomeUser(asUid)
const ceiling = ['operator.read', 'operator.write']
const { url, gatewayId, port } = await startGateway({ directory, host, trustedLocal: { ceiling } })
console.log(JSON.stringify({ url, gatewayId, port }))
