import { startGateway } from '@holdfast/gateway'

// Whoever can read the gateway token on this machine may register itself, and have these scopes without a person.
const gateway = await startGateway({
  app: 'my-app',
  trustedLocal: { ceiling: ['operator.read', 'operator.write'] },
  methods: {
    'note.add': { scopes: ['operator.write'], handle: (note, { connection }) => [connection.deviceId, note] },
  },
})
gateway.onEvent(event => console.log(event.event))
console.log('listening', gateway.url)
process.once('SIGTERM', () => gateway.close())
