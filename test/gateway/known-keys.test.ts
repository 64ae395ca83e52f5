import {
  createEphemeralIdentity,
  type DeviceIdentity,
  formatPublicKey,
  type PublicKey,
  parsePublicKey,
} from '@holdfast/identity'
import { afterEach, describe, expect, test } from 'vitest'
import { KnownKeys } from '../../packages/gateway/src/internal/known-keys.ts'
import { attempt, type ConnectFrame } from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN } from './test-gate.ts'

function newKey(): PublicKey {
  return createEphemeralIdentity().publicKey
}

describe('keys that were admitted', () => {
  test('are read once; what is no key is read as none, each time', () => {
    const keys = new KnownKeys(8)
    const key = newKey()
    const text = formatPublicKey(key)
    expect(keys.read(text)).not.toBe(key)
    expect(keys.read(text)?.toBytes()).toEqual(key.toBytes())
    keys.remember(key)
    expect(keys.read(text)).toBe(key)
    for (const wrong of ['', 'A'.repeat(43), `${text}=`, text.slice(1), `${text} `])
      expect([wrong, keys.read(wrong)]).toEqual([wrong, parsePublicKey(wrong)])
  })

  test('are bounded, and those that came last stay', () => {
    const keys = new KnownKeys(8)
    const all = Array.from({ length: 100 }, newKey)
    for (const key of all) {
      keys.remember(key)
      keys.remember(key)
      expect(keys.size).toBeLessThanOrEqual(8)
    }
    const known = all.filter(key => keys.read(formatPublicKey(key)) === key)
    expect(known).toEqual(all.slice(-known.length))
    expect(known.length).toBeGreaterThanOrEqual(4)
  })

  test('one that is used again and again outlives all that are not', () => {
    const keys = new KnownKeys(8)
    const key = newKey()
    for (let turn = 0; turn < 100; turn++) {
      keys.remember(key)
      keys.remember(newKey())
      expect(keys.read(formatPublicKey(key))).toBe(key)
    }
  })
})

describe('a gate that has a key in mind', () => {
  let open: TestGate | null = null
  afterEach(() => open?.close())

  test('asks the store about its device each time: a revocation counts at once', async () => {
    open = await openTestGate()
    const identity = createEphemeralIdentity()
    for (let turn = 0; turn < 3; turn++)
      expect((await attempt(open.url, { identity, token: TOKEN })).hello).not.toBeNull()
    await open.store.revokeDevice(identity.id, { by: { kind: 'store-writer' } })
    const { details } = await attempt(open.url, { identity, token: TOKEN })
    expect(details).toMatchObject({ refusal: 'device-revoked' })
  })

  test('checks each signature: whoever shows a key that it knows has proven nothing', async () => {
    open = await openTestGate()
    const identity = createEphemeralIdentity()
    expect((await attempt(open.url, { identity, token: TOKEN })).hello).not.toBeNull()
    const { details } = await attempt(open.url, {
      identity: createEphemeralIdentity(),
      token: TOKEN,
      tamper: frame => ({ ...frame, params: { ...frame.params, device: asOf(identity, frame) } }),
    })
    expect(details).toMatchObject({ refusal: 'signature-invalid' })
  })

  function asOf(identity: DeviceIdentity, frame: ConnectFrame): Record<string, unknown> {
    const publicKey = formatPublicKey(identity.publicKey)
    return { ...frame.params.device, id: identity.id, publicKey }
  }
})
