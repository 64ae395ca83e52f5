// A gateway in a process of its own: one line once it listens, or the code and facts of why it does not.
import { isGatewayError, startGateway } from '@holdfast/gateway'

const [directory = ''] = process.argv.slice(2)
try {
  const { url, gatewayId } = await startGateway({ directory, trustedLocal: { ceiling: ['operator.read'] } })
  console.log(JSON.stringify({ url, gatewayId, pid: process.pid }))
} catch (error) {
  if (!isGatewayError(error)) throw error
  console.log(JSON.stringify({ code: error.code, ...error.detail }))
  process.exit(1)
}
// The lock, not an open handle of ours, is what the test looks at; stay until killed.
setInterval(() => undefined, 1_000)
