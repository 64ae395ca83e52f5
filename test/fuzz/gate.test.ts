import { signHoldfastProof } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ManualClock } from '../gateway/manual-clock.ts'
import {
  type Challenge,
  CLIENT,
  conclude,
  connectFrame,
  dial,
  rawFrame,
  takeChallenge,
  upgradeRequest,
} from '../gateway/raw-client.ts'
import { openTestGate, type TestGate, TOKEN, until } from '../gateway/test-gate.ts'
import {
  type BytePeer,
  descriptors,
  type Heard,
  heapInUse,
  IDENTITY,
  speak,
  watchForCrashes,
} from './gate-under-fire.ts'
import { byteDamage, INPUTS, treeDamage } from './mutators.ts'

const BATCH = 50
const TEXT = 1
const SCOPES = ['operator.read', 'operator.write']
/** A peer has asked for it by its bytes, or was told it by a rule: never 1000, 1006 or 1011. */
const CLOSES = [1002, 1007, 1008, 1009, 1012, 1013]

const GATEWAY = createEphemeralIdentity()
/** The key that proves itself by holdfast/1: it may not come by a weaker proof again. */
const PROVER = createEphemeralIdentity()
let gate: TestGate
let clock: ManualClock

beforeAll(async () => {
  clock = new ManualClock()
  gate = await openTestGate({
    clock,
    identity: GATEWAY,
    trustedLocal: false,
    limits: { unauthenticatedSockets: 2 * BATCH, waitingForAnswer: 2 * BATCH },
  })
  // Known and granted: what is left as it was is admitted, and even that writes nothing.
  for (const family of ['openclaw', 'holdfast/1'] as const) {
    const { details } = await connectHonestly(family)
    const requestId = String(details['requestId'])
    const request = await gate.store.findRequest(requestId)
    await gate.store.approveRequest(requestId, {
      by: { kind: 'store-writer' },
      expectedDigest: request?.digest ?? '',
    })
    expect((await connectHonestly(family)).hello).not.toBeNull()
  }
})
afterAll(() => gate.close())

interface Input {
  readonly family: 'openclaw' | 'holdfast/1'
  readonly upgrade: (request: Buffer) => Buffer
  readonly frame: (connect: unknown) => Buffer
  readonly wire: (bytes: Buffer) => Buffer
}
const asIs = <T>(value: T): T => value
const asText = (value: unknown): Buffer => Buffer.from(JSON.stringify(value) ?? 'undefined')

/** The header of a frame, its mask and its first bytes: where one flip changes what all of it is. */
const HEADER_BYTES = 16
const inHeader = (damage: (bytes: Buffer) => Buffer) => (bytes: Buffer) =>
  Buffer.concat([damage(bytes.subarray(0, HEADER_BYTES)), bytes.subarray(HEADER_BYTES)])

/** Everything but what is damaged is as an honest client sends it. */
const only = (part: Partial<Input>): Omit<Input, 'family'> => ({
  upgrade: asIs,
  frame: asText,
  wire: asIs,
  ...part,
})

const damages = fc.oneof(
  {
    weight: 5,
    arbitrary: treeDamage.map(damage => only({ frame: connect => asText(damage(connect)) })),
  },
  {
    weight: 3,
    arbitrary: byteDamage.map(damage => only({ frame: connect => damage(asText(connect)) })),
  },
  { weight: 1, arbitrary: byteDamage.map(damage => only({ wire: damage })) },
  { weight: 1, arbitrary: byteDamage.map(damage => only({ wire: inHeader(damage) })) },
  { weight: 1, arbitrary: byteDamage.map(damage => only({ upgrade: damage })) },
)

const inputs: fc.Arbitrary<Input> = fc
  .tuple(damages, fc.constantFrom('openclaw' as const, 'holdfast/1' as const))
  .map(([damage, family]) => ({ ...damage, family }))

/** A `connect` of ours, in the fields of the one that OpenClaw's clients send. */
function holdfastFrame(challenge: Challenge) {
  const { fields } = signHoldfastProof({
    identity: PROVER,
    gatewayId: GATEWAY.id,
    dialled: { address: '127.0.0.1', port: gate.port },
    challenge,
    client: CLIENT,
    role: 'operator',
    scopes: SCOPES,
    credential: { kind: 'gateway-token', token: TOKEN },
  })
  const { id, mode, version, platform } = CLIENT
  const params = { minProtocol: 3, maxProtocol: 4, client: { id, mode, version, platform }, role: 'operator' }
  return { type: 'req', id: 'call-1', method: 'connect', params: { ...params, scopes: SCOPES, ...fields } }
}

/** What an honest client sends: the key of each family is known, and was granted all of it. */
function honestFrame(challenge: Challenge, family: Input['family']) {
  if (family === 'holdfast/1') return holdfastFrame(challenge)
  return connectFrame(challenge, { identity: IDENTITY, token: TOKEN, scopes: SCOPES })
}

/** A whole connect without any damage. */
async function connectHonestly(family: Input['family']) {
  const peer = await dial(gate.url)
  peer.send(honestFrame(await takeChallenge(peer), family))
  const answer = await conclude(peer)
  peer.socket.terminate()
  await peer.closed
  return answer
}

/** One peer with this damage, until its socket is closed. */
function send(input: Input) {
  const answer = (challenge: Challenge) => {
    return input.wire(rawFrame(TEXT, input.frame(honestFrame(challenge, input.family))))
  }
  return speak(gate.port, input.upgrade(Buffer.from(upgradeRequest(gate.port))), answer)
}

/** Lets all of a batch be decided, then time pass for those that said too little, and the admitted go. */
async function finish(peers: readonly BytePeer[]): Promise<readonly Heard[]> {
  let open = peers.length
  for (const { heard } of peers) void heard.then(() => --open)
  // Gate and peers share this event loop: where nothing has moved for some of its turns, nothing will but by the clock.
  const progress = () =>
    peers.reduce((bytes, peer) => bytes + peer.received(), gate.events.length) + peers.length - open
  let before = -1
  for (let quiet = 0; open > 0 && quiet < 5; ) {
    await new Promise(resolve => setTimeout(resolve, 10))
    const now = progress()
    quiet = now === before ? quiet + 1 : 0
    before = now
  }
  // The deadlines of a connect and of a delayed answer, then the patience with a peer that does not answer a close.
  for (const stepMs of [5_000, 1_000, 5_000, 1_000]) {
    if (open === 0) break
    for (const connection of gate.gate.connections()) connection.close(1012)
    for (const peer of peers) peer.endUnlessUpgraded()
    clock.advance(stepMs)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return Promise.all(peers.map(({ heard }) => heard))
}

describe('a gate that is sent damaged bytes', () => {
  test(`takes ${INPUTS} of them: no crash, no hang, nothing written, and nothing kept`, async () => {
    const crashes = watchForCrashes()
    const rows = gate.counts()
    const events = gate.events.length
    const answered = new Map<string, number>()
    const note = (what: string) => answered.set(what, (answered.get(what) ?? 0) + 1)
    // One batch beforehand: what is compiled and cached once is no leak.
    await finish(fc.sample(inputs, { numRuns: BATCH, seed: 1 }).map(send))
    const heap = await heapInUse()
    const files = descriptors()
    await fc.assert(
      fc.asyncProperty(fc.array(inputs, { minLength: BATCH, maxLength: BATCH }), async batch => {
        for (const { status, frames, closeCode } of await finish(batch.map(send))) {
          note(status === 101 ? `close ${closeCode}` : `http ${status}`)
          if (status !== 101) continue
          expect([...CLOSES, null]).toContain(closeCode)
          for (const frame of frames) {
            if (frame['ok'] !== true) continue
            note('admitted')
            expect(frame['payload']).toMatchObject({ auth: { role: 'operator', scopes: SCOPES } })
          }
        }
      }),
      { numRuns: INPUTS / BATCH, endOnFailure: true },
    )
    expect(gate.counts()).toEqual(rows)
    expect(crashes.seen).toEqual([])
    expect(gate.events.slice(events).filter(({ event }) => event === 'fault' || event === 'request')).toEqual(
      [],
    )
    expect(gate.gate.connections()).toEqual([])
    await until(() => descriptors() === files)
    expect((await heapInUse()) - heap).toBeLessThan(16_000_000 + gate.events.length * 1_000)
    // The damage was of every kind: refused before the upgrade, by the rules, by the frames; and some was none.
    for (const what of ['http 400', 'http 403', 'close 1008', 'close 1002', 'admitted']) {
      expect([...answered.keys()]).toContain(what)
    }
    crashes.stop()
    for (const family of ['openclaw', 'holdfast/1'] as const) {
      expect((await connectHonestly(family)).hello).not.toBeNull()
    }
  })
})
