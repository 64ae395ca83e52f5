// Connects to a gateway, one at a time, as so many devices in turns. Each line on its standard input is answered with the
// times of another so many handshakes, from dialling to hello, in ms.
import process from 'node:process'
import { createInterface } from 'node:readline'
import { createEphemeralIdentity, parseDeviceId } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'

const [url = '', gatewayIdText = '', token = '', devices = '1'] = process.argv.slice(2)
const gatewayId = parseDeviceId(gatewayIdText)
if (gatewayId === null) throw new TypeError('no gateway id')
const pinned = gatewayId
const identities = Array.from({ length: Number(devices) }, createEphemeralIdentity)
await shakeHands(identities.length)
console.log('null')
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await shakeHands(Number(line))))
}

async function shakeHands(count: number): Promise<readonly number[]> {
  const wish = {
    url,
    gatewayId: pinned,
    token,
    role: 'operator',
    scopes: ['operator.read'],
    reconnect: false,
  }
  const times: number[] = []
  for (let turn = 0; turn < count; turn += 1) {
    const identity = identities[turn % identities.length]
    if (identity === undefined) throw new TypeError('no devices')
    const startedMs = performance.now()
    const connection = await connectToGateway({ ...wish, identity })
    times.push(performance.now() - startedMs)
    await connection.close()
  }
  return times
}
