import { gatewayTokenCommitment } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import type { PairingStore } from '@holdfast/pairing-store'
import { afterEach, describe, expect, test } from 'vitest'
import { ManualClock } from './manual-clock.ts'
import { attempt } from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN, until } from './test-gate.ts'

const OTHER_TOKEN = 'Another-Token-Of-Forty-Three-Characters-0123'

const open: TestGate[] = []
async function testGate(options: Parameters<typeof openTestGate>[0] = {}): Promise<TestGate> {
  const gate = await openTestGate(options)
  open.push(gate)
  return gate
}
afterEach(async () => {
  for (const gate of open.splice(0).reverse()) await gate.close()
})

/** The store, with some of its methods in front of the real ones. */
function withMethods(store: PairingStore, methods: Partial<PairingStore>): PairingStore {
  return new Proxy(store, {
    get(target, key) {
      const value = Reflect.get(methods, key) ?? Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const isCurrent = async (store: PairingStore, token: string) =>
  (await store.findGatewayToken())?.generationId === gatewayTokenCommitment(token)

const registers = async (gate: TestGate, token: string) =>
  (await attempt(gate.url, { identity: createEphemeralIdentity(), token })).hello !== null

describe('a store that was left at another token', () => {
  test('is put right as soon as the gate hears of it, and whoever has the token registers', async () => {
    // Time stands still: no interval helps.
    const gate = await testGate({ clock: new ManualClock(), gatewayToken: () => TOKEN })
    await gate.store.putGatewayToken(OTHER_TOKEN)
    await until(() => isCurrent(gate.store, TOKEN))
    expect(await registers(gate, TOKEN)).toBe(true)
  })

  test('is put right in five seconds where the gate hears nothing', async () => {
    const clock = new ManualClock()
    const healthy = await testGate({ clock: new ManualClock() })
    const store = withMethods(healthy.store, { subscribe: () => () => undefined })
    await healthy.gate.close()
    const gate = await testGate({ clock, store, gatewayToken: () => TOKEN })
    await healthy.store.putGatewayToken(OTHER_TOKEN)
    expect(await registers(gate, TOKEN)).toBe(false)
    clock.advance(5_000)
    await until(() => isCurrent(healthy.store, TOKEN))
    expect(await registers(gate, TOKEN)).toBe(true)
  })

  test('of two rotations that overlap the one in the source counts, whichever ended last', async () => {
    let token = TOKEN
    const clock = new ManualClock()
    const gate = await testGate({ clock, gatewayToken: () => token })
    const [first, second] = ['First-Token-Of-Two-0123456789', 'Second-Token-Of-Two-0123456789']
    token = second
    expect(await registers(gate, second)).toBe(true)
    await gate.store.putGatewayToken(second)
    await gate.store.putGatewayToken(first)
    clock.advance(5_000)
    await until(() => isCurrent(gate.store, second))
    expect(await registers(gate, second)).toBe(true)
    expect(await registers(gate, first)).toBe(false)
  })

  test('two gates with different tokens do not overwrite each other without end', async () => {
    const one = await testGate({ clock: new ManualClock() })
    let puts = 0
    const store = withMethods(one.store, {
      putGatewayToken: token => {
        puts += 1
        return one.store.putGatewayToken(token)
      },
    })
    const clock = new ManualClock()
    await testGate({ clock, store, gatewayToken: OTHER_TOKEN })
    const settle = async () => {
      for (let round = 0; round < 100; round++) await one.store.findGatewayToken()
    }
    await settle()
    const settled = puts
    await settle()
    expect(puts).toBe(settled)
    expect(puts).toBeLessThanOrEqual(2)
  })
})

describe('a source that answers slowly', () => {
  test('an answer that was asked for before a rotation does not bring the old token back', async () => {
    let token = TOKEN
    let release: (() => void) | null = null
    let isSlow = false
    const gate = await testGate({
      clock: new ManualClock(),
      gatewayToken: () => {
        const answer = token
        if (!isSlow) return answer
        isSlow = false
        return new Promise(resolve => {
          release = () => resolve(answer)
        })
      },
    })
    isSlow = true
    const straggler = attempt(gate.url, { identity: createEphemeralIdentity(), token: TOKEN })
    await until(() => release !== null)
    token = OTHER_TOKEN
    const good = await attempt(gate.url, { identity: createEphemeralIdentity(), token: OTHER_TOKEN })
    expect(good.hello).not.toBeNull()
    ;(release as unknown as () => void)()
    expect((await straggler).details).toMatchObject({ refusal: 'token-mismatch' })
    expect(await isCurrent(gate.store, OTHER_TOKEN)).toBe(true)
    expect(good.peer.socket.readyState).toBe(1)
  })
})
