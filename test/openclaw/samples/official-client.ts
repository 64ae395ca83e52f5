import { openIdentity } from '@holdfast/identity'
import { createHostDeps } from '@holdfast/openclaw'
import { GatewayClient } from '@openclaw/gateway-client'

const url = process.env['OPENCLAW_GATEWAY_URL'] ?? 'ws://127.0.0.1:18789'
const identity = await openIdentity({ app: 'my-app' })
const client = new GatewayClient({
  url,
  token: process.env['OPENCLAW_GATEWAY_TOKEN'] ?? '',
  clientName: 'cli',
  mode: 'cli',
  minProtocol: 3,
  scopes: ['operator.read'],
  hostDeps: createHostDeps({ identity, url }),
  onHelloOk: () => {
    console.log('let in')
    client.stop()
  },
  onConnectError: error => {
    console.error(error.message)
    client.stop()
  },
})
client.start()
