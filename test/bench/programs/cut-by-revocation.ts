// A device at one gateway that is revoked elsewhere, again and again: by this process in the store itself, or by another
// gateway, to which this prints whom to revoke and which answers with a line. Prints the times in ms, from before the call.
import process from 'node:process'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { createEphemeralIdentity, type DeviceId, parseDeviceId } from '@holdfast/identity'
import { openStore } from '@holdfast/pairing-store'
import { connectToGateway } from '@holdfast/spawner'

const [url = '', gatewayIdText = '', token = '', place = '', rounds = '0'] = process.argv.slice(2)
const gatewayId = parseDeviceId(gatewayIdText)
if (gatewayId === null) throw new TypeError('no gateway id')
/** The gateway on a file looks ten times a second: each round begins at another moment between two looks. */
const MOST_WAIT_MS = 100
const store = place === '' ? null : await openStore(place)
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const cuts: number[] = []
const calls: number[] = []
// The first round is warming up.
for (let round = -1; round < Number(rounds); round += 1) {
  const identity = createEphemeralIdentity()
  const wish = { url, gatewayId, token, role: 'operator', scopes: ['operator.read'], reconnect: false }
  const connection = await connectToGateway({ ...wish, identity })
  await wait(Math.random() * MOST_WAIT_MS)
  const startedMs = performance.now()
  const cut = connection.closed.then(({ code }) => ({ code, tookMs: performance.now() - startedMs }))
  await revoke(identity.id)
  const calledMs = performance.now() - startedMs
  const { code, tookMs } = await cut
  if (code !== 4001) throw new Error(`closed with ${code}`)
  if (round < 0) continue
  cuts.push(tookMs)
  calls.push(calledMs)
}
console.log(JSON.stringify({ cuts, calls }))
await store?.close()
process.exit(0)

async function revoke(deviceId: DeviceId): Promise<void> {
  if (store !== null) {
    await store.revokeDevice(deviceId, { by: { kind: 'store-writer' }, keepRegistration: true })
  } else {
    console.log(JSON.stringify(deviceId))
    await answers.next()
  }
}
