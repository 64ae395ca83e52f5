// The gateway of the soak, in a process of its own: its url first, then on each line it reads one of what it uses.
import { readdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { startGateway } from '@holdfast/gateway'

const [directory = ''] = process.argv.slice(2)
const collectGarbage = (globalThis as { gc?: () => void }).gc
const counts = { admitted: 0, refused: 0, cut: 0, faults: 0, crashes: 0 }
const reasons: Record<string, number> = {}
const note = (reason: string) => {
  reasons[reason] = (reasons[reason] ?? 0) + 1
}
process.on('unhandledRejection', () => {
  counts.crashes += 1
})

const running = await startGateway({
  directory,
  trustedLocal: { ceiling: ['operator.read', 'operator.write'] },
  methods: { echo: { scopes: ['operator.read'], handle: params => params } },
})
running.onEvent(event => {
  if (event.event === 'admitted') counts.admitted += 1
  if (event.event === 'refused') {
    counts.refused += 1
    note(event.refusal)
  }
  if (event.event === 'closed' && event.cut !== null) {
    counts.cut += 1
    note(event.cut)
  }
  if (event.event === 'fault') counts.faults += 1
})
console.log(JSON.stringify({ url: running.url, port: running.port }))

for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'collect') collectGarbage?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  const descriptors = process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
  const connections = running.gate.connections().length
  console.log(JSON.stringify({ ...counts, reasons, rss, heapUsed, external, descriptors, connections }))
}
await running.close()
