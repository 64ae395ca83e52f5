// So many stores that listen, as so many gateways do. Prints a device to be revoked by another process, again and again, is
// answered with the moment at which that began, and prints at last how long all of them took to hear of each.
import process from 'node:process'
import { createInterface } from 'node:readline'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openPostgresStore } from '@holdfast/pairing-store'
import { attempt } from '../../pairing-store/attempts.ts'
import { machineMs } from '../machine-time.ts'
import { quantiles } from '../quantiles.ts'

const [url = '', token = '', countText = '0', roundsText = '0'] = process.argv.slice(2)
const [listeners, rounds] = [Number(countText), Number(roundsText)]
const OPENED_AT_ONCE = 20
const options = { url, maxConnections: 1, answerTimeoutMs: 60_000 }

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const writer = await openPostgresStore(options)
let heard: number[] = []
let whenAllHeard = (): void => undefined
for (let opened = 0; opened < listeners; opened += OPENED_AT_ONCE) {
  const some = Array.from({ length: Math.min(OPENED_AT_ONCE, listeners - opened) }, async () => {
    const store = await openPostgresStore(options)
    store.subscribe(change => {
      if (change.kind !== 'device-changed') return
      heard.push(machineMs())
      if (heard.length === listeners) whenAllHeard()
    })
    await store.findGatewayToken()
  })
  await Promise.all(some)
}
const times: number[] = []
// The first round is warming up.
for (let round = -1; round < rounds; round += 1) {
  const identity = createEphemeralIdentity()
  await next(() => writer.admit(attempt({ identity, token })))
  const startedMs = await next(async () => {
    console.log(JSON.stringify(identity.id))
    return Number((await answers.next()).value)
  })
  if (round >= 0) times.push(...heard.map(each => each - startedMs))
}
console.log(JSON.stringify(quantiles(times)))
process.exit(0)

/** Does something that all hear of, and waits until they have. */
async function next<Result>(act: () => Promise<Result>): Promise<Result> {
  heard = []
  const all = new Promise<void>(resolve => {
    whenAllHeard = resolve
  })
  const result = await act()
  await all
  return result
}
