// One of many processes that write a store at once: `node write-together.ts '{"part": …}'`. One line of JSON per effect.
import { writeSync } from 'node:fs'
import { createEphemeralIdentity, formatPublicKey, parseDeviceId } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'
import { runProgram } from '../../../packages/cli/src/program.ts'
import { waitAtBarrier } from '../../support/at-barrier.ts'

export interface WriteOrders {
  /** Over the socket of the gateway, or as command lines beside it. */
  readonly part: 'wire' | 'command-line'
  readonly stateDir: string
  readonly url: string
  readonly gatewayId: string
  readonly token: string
  readonly count: number
}

const orders = JSON.parse(process.argv[2] ?? '{}') as WriteOrders
const { stateDir, url, token, count } = orders
const gatewayId = parseDeviceId(orders.gatewayId) ?? undefined

function tell(effect: object): void {
  writeSync(1, `${JSON.stringify(effect)}\n`)
}

/** A new device registers itself with the gateway. */
async function connectOnce(): Promise<object> {
  const identity = createEphemeralIdentity()
  const wish = { role: 'operator', scopes: ['operator.read'] }
  const connection = await connectToGateway({ identity, url, gatewayId, token, ...wish })
  await connection.close()
  return { deviceId: identity.id, trust: 'trusted-local', name: null }
}

/** Runs a command; what it prints is none of this program's lines. One that met others for too long wrote nothing: again. */
async function command(...words: readonly string[]): Promise<void> {
  for (;;) {
    let said = ''
    const write = process.stdout.write.bind(process.stdout)
    process.stdout.write = (text: string | Uint8Array) => {
      said += text
      return true
    }
    const exitCode = await runProgram([...words, '--state-dir', stateDir, '--json'])
    process.stdout.write = write
    if (exitCode === 0) return
    if (!said.includes('"STORE_BUSY"')) throw new Error(`holdfast ${words[0]}: ${said}`)
  }
}

let last = ''

/** A command line lets a device in, gives it a name, shuts it out: each time another one of the three. */
async function commandOnce(step: number): Promise<object> {
  if (step % 3 === 0) {
    const identity = createEphemeralIdentity()
    last = identity.id
    await command('preregister', formatPublicKey(identity.publicKey), '--scopes', 'operator.read')
    return { deviceId: last, trust: 'approved', name: null }
  }
  const name = `step ${step}`
  if (step % 3 === 1) {
    await command('rename', last, name)
    return { deviceId: last, trust: 'approved', name }
  }
  await command('revoke', last)
  return { deviceId: last, trust: 'revoked', name: `step ${step - 1}` }
}

waitAtBarrier()
for (let step = 0; step < count; step += 1) {
  tell(orders.part === 'wire' ? await connectOnce() : await commandOnce(step))
}
