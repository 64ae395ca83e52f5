// The hostile half of the soak: every kind of bad peer in turn, many at a time, until standard input ends.
import { connect as connectTcp } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import fc from 'fast-check'
import { challengeIn } from '../../fuzz/gate-under-fire.ts'
import { byteDamage, treeDamage } from '../../fuzz/mutators.ts'
import { type Challenge, connectFrame, rawFrame, upgradeRequest } from '../../gateway/raw-client.ts'

const [port = '0', token = ''] = process.argv.slice(2)
const PORT = Number(port)
const AT_ONCE = 40
const LINGER_MS = 2_000
const TEXT = 1
const PING = 9

/** What one peer sends at once, and what it makes of the challenge; `null`: no more. */
interface Attack {
  readonly first: Buffer
  readonly afterwards: ((challenge: Challenge) => Buffer) | null
  /** What one that was admitted sends after its hello. */
  readonly inside?: Buffer
  /** Does it read what it is sent? */
  readonly deaf?: boolean
}

let guesses = 0
const upgrade = (headers?: Readonly<Record<string, string>>) => Buffer.from(upgradeRequest(PORT, headers))
const asText = (value: unknown) => Buffer.from(JSON.stringify(value) ?? 'undefined')
const one = <T>(arbitrary: fc.Arbitrary<T>): T => {
  const [value] = fc.sample(arbitrary, 1)
  if (value === undefined) throw new TypeError('nothing was drawn')
  return value
}
/** A device that has the gateway token: hostile all the same. */
const insider: DeviceIdentity = createEphemeralIdentity()
const insiderConnect = (challenge: Challenge) =>
  rawFrame(TEXT, asText(connectFrame(challenge, { identity: insider, token })))
const stranger = (challenge: Challenge, options: object = {}) =>
  connectFrame(challenge, { identity: createEphemeralIdentity(), ...options })
const call = (method: string, params: unknown) =>
  rawFrame(TEXT, asText({ type: 'req', id: '1', method, params }))
const part = rawFrame(0, Buffer.from('x'), { fin: false })
const begun = rawFrame(TEXT, Buffer.from('x'), { fin: false })

const ATTACKS: Readonly<Record<string, () => Attack>> = {
  silence: () => ({ first: Buffer.alloc(0), afterwards: null }),
  'half a request': () => ({ first: upgrade().subarray(0, 60), afterwards: null }),
  'no answer to the challenge': () => ({ first: upgrade(), afterwards: null }),
  'a damaged request': () => ({ first: one(byteDamage)(upgrade()), afterwards: null }),
  'a page': () => ({ first: upgrade({ Origin: 'https://evil.example' }), afterwards: null }),
  'a proxy': () => ({ first: upgrade({ 'X-Forwarded-For': '127.0.0.1' }), afterwards: null }),
  'a guess': () => ({
    first: upgrade(),
    afterwards: challenge =>
      rawFrame(TEXT, asText(stranger(challenge, { token: `wrong-token-number-${++guesses}-0123456789` }))),
  }),
  'a stranger': () => ({
    first: upgrade(),
    afterwards: challenge => rawFrame(TEXT, asText(stranger(challenge))),
  }),
  'a damaged frame': () => ({
    first: upgrade(),
    afterwards: challenge => rawFrame(TEXT, asText(one(treeDamage)(stranger(challenge, { token })))),
  }),
  'damaged bytes': () => ({
    first: upgrade(),
    afterwards: challenge => one(byteDamage)(rawFrame(TEXT, asText(stranger(challenge, { token: 'x' })))),
  }),
  'a large frame': () => ({
    first: upgrade(),
    afterwards: () => rawFrame(TEXT, Buffer.alloc(1_000_000, 'x')),
  }),
  fragments: () => ({
    first: upgrade(),
    afterwards: () => Buffer.concat([begun, ...Array<Buffer>(5_000).fill(part)]),
  }),
  pings: () => ({
    first: upgrade(),
    afterwards: () => Buffer.concat(Array<Buffer>(2_000).fill(rawFrame(PING, Buffer.alloc(4)))),
  }),
  'an insider with half a message': () => ({
    first: upgrade(),
    afterwards: insiderConnect,
    inside: rawFrame(TEXT, Buffer.alloc(500_000, 'x'), { fin: false }),
  }),
  'an insider that calls in bulk and never reads': () => ({
    first: upgrade(),
    afterwards: insiderConnect,
    inside: Buffer.concat(Array<Buffer>(300).fill(call('echo', 'y'.repeat(2_000)))),
    deaf: true,
  }),
  'an insider that calls nonsense': () => ({
    first: upgrade(),
    afterwards: insiderConnect,
    inside: Buffer.concat([
      call('device.pair.remove', { deviceId: '__proto__' }),
      call('constructor', null),
      rawFrame(TEXT, Buffer.from('{')),
    ]),
  }),
}

function carryOut({ first, afterwards, inside, deaf = false }: Attack): Promise<void> {
  return new Promise(resolve => {
    const socket = connectTcp({ port: PORT, host: '127.0.0.1' })
    let received = Buffer.alloc(0)
    let step: 'challenge' | 'hello' | 'done' = afterwards === null ? 'done' : 'challenge'
    socket.on('data', chunk => {
      if (step === 'done') return
      received = Buffer.concat([received, chunk])
      if (step === 'challenge') {
        const challenge = challengeIn(received)
        if (challenge === null || afterwards === null) return
        socket.write(afterwards(challenge))
        step = inside === undefined ? 'done' : 'hello'
      } else if (inside !== undefined && received.includes('"hello-ok"')) {
        socket.write(inside)
        step = 'done'
        if (deaf) socket.pause()
      }
    })
    const lingering = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.on('error', () => undefined)
    socket.on('end', () => socket.destroy())
    socket.on('close', () => {
      clearTimeout(lingering)
      resolve()
    })
    socket.write(first)
  })
}

const sent: Record<string, number> = {}
let stopped = false
process.stdin.resume().once('end', () => {
  stopped = true
})
await Promise.all(
  Array.from({ length: AT_ONCE }, async (_, index) => {
    const names = Object.keys(ATTACKS)
    for (let round = index; !stopped; round++) {
      const name = names[round % names.length] ?? ''
      sent[name] = (sent[name] ?? 0) + 1
      await carryOut(ATTACKS[name]?.() ?? { first: Buffer.alloc(0), afterwards: null })
      await wait(20)
    }
  }),
)
console.log(JSON.stringify(sent))
process.exit(0)
