import { createEphemeralIdentity, type DeviceId, type DeviceIdentity } from '@holdfast/identity'
import { openSqliteStore, type PairingStore, type StoreChange } from '@holdfast/pairing-store'
import { afterEach, describe, expect, test } from 'vitest'
import { attempt } from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN, until } from './test-gate.ts'

const ROUNDS = process.env['HOLDFAST_LONG'] ? 10_000 : 200
const BATCH = 25

const open: { close(): Promise<unknown> }[] = []
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close()
})

/** Called where the gate asks the store to admit a device: the moment from which a revocation races it. */
type OnAdmission = (deviceId: DeviceId, admitted: Promise<unknown>) => void

/**
 * A gate over a real store. `hears` says which changes reach the gate: all of them, but in the control, where a device that
 * is being admitted has no ears, as in a gate that lists its sessions only once they are admitted.
 */
async function racingGate(
  onAdmission: OnAdmission,
  hears: (change: StoreChange) => boolean,
): Promise<{ gate: TestGate; path: string }> {
  const first = await openTestGate()
  open.push(first)
  const store = new Proxy(first.store, {
    get(target, key) {
      if (key === 'admit') {
        return (attempted: Parameters<PairingStore['admit']>[0]) => {
          const admitted = target.admit(attempted)
          if (attempted.proof.verdict === 'verified') onAdmission(attempted.proof.proof.deviceId, admitted)
          return admitted
        }
      }
      if (key === 'subscribe') {
        return (listener: (change: StoreChange) => void) =>
          target.subscribe(change => {
            if (hears(change)) listener(change)
          })
      }
      const value = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  // A gate that gives up on a slow machine would refuse for another reason.
  const gate = await openTestGate({ store, limits: { handshakeMs: 300_000 } })
  open.push(gate)
  return { gate, path: first.storePath }
}

/** A few turns of the event loop, small and large ones: where between two steps of the gate a revocation falls. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    if (turn % 3 === 2) await new Promise(resolve => setImmediate(resolve))
    else await Promise.resolve()
  }
}

interface Race {
  /** Refused, cut after the hello, or still connected once the revocation was acknowledged and heard of. */
  refused: number
  cut: number
  left: number
}

/** One admission of each device, and in the middle of it its revocation by `revoke`. */
async function race(
  gate: TestGate,
  revocations: Map<string, Promise<unknown>>,
  identities: readonly DeviceIdentity[],
  patienceMs: number,
): Promise<Race> {
  const outcomes: Race = { refused: 0, cut: 0, left: 0 }
  const tries = await Promise.all(identities.map(identity => attempt(gate.url, { identity, token: TOKEN })))
  await Promise.all(identities.map(({ id }) => revocations.get(id)))
  await Promise.all(
    tries.map(async ({ hello, details, peer }) => {
      if (hello === null) {
        expect(details).toMatchObject({ refusal: 'device-revoked' })
        outcomes.refused += 1
        return
      }
      let callOff: NodeJS.Timeout | undefined
      const late = new Promise<null>(resolve => {
        callOff = setTimeout(() => resolve(null), patienceMs)
      })
      const close = await Promise.race([peer.closed, late])
      clearTimeout(callOff)
      if (close === null) outcomes.left += 1
      else {
        expect(close).toEqual({ code: 4001, reason: 'device revoked' })
        outcomes.cut += 1
      }
      peer.socket.terminate()
    }),
  )
  return outcomes
}

async function known(gate: TestGate): Promise<DeviceIdentity[]> {
  const identities = Array.from({ length: BATCH }, () => createEphemeralIdentity())
  for (const identity of identities) {
    await gate.store.registerLocal({ identity, gatewayToken: TOKEN, role: 'operator' })
  }
  return identities
}

describe('a revocation in the middle of an admission', () => {
  test(`H1: ${ROUNDS} times, by the gate's own store and by another: never a socket is left behind`, async () => {
    const revocations = new Map<string, Promise<unknown>>()
    let revokeIn: PairingStore | null = null
    let count = 0
    const { gate, path } = await racingGate(
      deviceId => {
        const mine = revokeIn
        const wait = count++ % 16
        if (mine === null) return
        revocations.set(
          deviceId,
          turns(wait).then(() =>
            mine.revokeDevice(deviceId, { by: { kind: 'store-writer' }, keepRegistration: true }),
          ),
        )
      },
      () => true,
    )
    const other = await openSqliteStore({ path })
    open.push(other)
    const sum: Race = { refused: 0, cut: 0, left: 0 }
    for (let round = 0; round < ROUNDS; round += BATCH) {
      const identities = await known(gate)
      revokeIn = (round / BATCH) % 4 === 3 ? other : gate.store
      // A bound for a gate that forgot somebody, not for a slow machine.
      const outcomes = await race(gate, revocations, identities, 60_000)
      for (const key of ['refused', 'cut', 'left'] as const) sum[key] += outcomes[key]
      revocations.clear()
    }
    expect(sum.left).toBe(0)
    expect(sum.refused + sum.cut).toBe(ROUNDS)
    expect(sum.cut).toBeGreaterThan(0)
    await until(() => gate.gate.connections().length === 0)
  })

  test('H1: a gate that hears nothing of a device while it admits it leaves some behind (negative control)', async () => {
    const revocations = new Map<string, Promise<unknown>>()
    const beingAdmitted = new Set<string>()
    let count = 0
    let gateStore: PairingStore | null = null
    const { gate } = await racingGate(
      (deviceId, admitted) => {
        const mine = gateStore
        if (mine === null) return
        beingAdmitted.add(deviceId)
        void admitted.finally(() => setImmediate(() => beingAdmitted.delete(deviceId)))
        revocations.set(
          deviceId,
          turns(count++ % 16).then(() =>
            mine.revokeDevice(deviceId, { by: { kind: 'store-writer' }, keepRegistration: true }),
          ),
        )
      },
      change => !(change.kind === 'device-changed' && beingAdmitted.has(change.deviceId)),
    )
    gateStore = gate.store
    let left = 0
    for (let round = 0; round < 8 && left === 0; round++) {
      left += (await race(gate, revocations, await known(gate), 1_000)).left
      revocations.clear()
    }
    expect(left).toBeGreaterThan(0)
  })
})
