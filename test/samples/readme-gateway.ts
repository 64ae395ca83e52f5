import { startGateway } from '@holdfast/gateway'

await startGateway({
  app: 'my-agents',
  trustedLocal: { ceiling: ['operator.read', 'operator.write'] },
  methods: { greet: { scopes: ['operator.write'], handle: params => ({ hello: params }) } },
})
