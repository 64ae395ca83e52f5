import { createHash } from 'node:crypto'
import { createEphemeralIdentity, type DeviceId, type DeviceIdentity } from '@holdfast/identity'
import type { Actor, PairingStore } from '@holdfast/pairing-store'
import { describe, expect, test } from 'vitest'
import { attempt, REMOTE, scopes } from '../attempts.ts'
import { type OpenStore, type Started, startStore, WRITER } from './open-store.ts'

const MINUTE_MS = 60_000
const WEEK_MS = 7 * 24 * 60 * MINUTE_MS

/** A device that registered itself, and the token that it was handed. */
async function handedOut({ store, token }: Started) {
  const identity = createEphemeralIdentity()
  const answer = await store.admit(attempt({ identity, token, handsOutToken: true }))
  if (answer.outcome !== 'admitted' || answer.deviceToken === null) throw new Error('no token')
  return { identity, first: answer.deviceToken.token }
}

async function rotated(store: PairingStore, identity: DeviceIdentity): Promise<string> {
  const answer = await store.rotateDeviceToken(identity.id, { ...WRITER, role: 'operator' })
  if (answer.outcome !== 'rotated') throw new Error(answer.outcome)
  return answer.issued.token
}

/** `admitted`, or the code of the refusal. */
async function shown(store: PairingStore, identity: DeviceIdentity, deviceToken: string): Promise<string> {
  const answer = await store.admit(attempt({ identity, deviceToken }))
  return answer.outcome === 'admitted' ? 'admitted' : answer.refusal.code
}

function acting(deviceId: DeviceId, ...held: string[]): Actor {
  return { kind: 'device', deviceId, role: 'operator' as never, scopes: scopes(...held) }
}

async function approved(store: PairingStore, ...held: string[]): Promise<DeviceIdentity> {
  const identity = createEphemeralIdentity()
  const answer = await store.admit(attempt({ identity, origin: REMOTE, scopes: held }))
  if (answer.outcome !== 'refused' || answer.opened === null) throw new Error('no request')
  const { requestId, digest } = answer.opened
  await store.approveRequest(requestId, { ...WRITER, expectedDigest: digest })
  return identity
}

export function tokenContract(openStore: OpenStore): void {
  describe('device tokens', () => {
    test('one is handed out where the gateway token is shown and the role has none, and only there', async () => {
      const started = await startStore(openStore)
      const { store, token } = started
      const identity = createEphemeralIdentity()
      expect(await store.admit(attempt({ identity, token }))).toMatchObject({ deviceToken: null })
      expect(await store.admit(attempt({ identity, handsOutToken: true }))).toMatchObject({
        outcome: 'admitted',
        deviceToken: null,
      })
      const ask = () => store.admit(attempt({ identity, token, handsOutToken: true }))
      const issued = await ask()
      expect(issued).toMatchObject({
        registered: false,
        deviceToken: {
          token: expect.stringMatching(/^hfd_[A-Za-z0-9_-]{49}$/),
          deviceId: identity.id,
          role: 'operator',
          expiresAtMs: null,
        },
      })
      expect(await ask()).toMatchObject({ outcome: 'admitted', deviceToken: null })
      expect(await store.listDeviceTokens(identity.id)).toEqual([
        {
          deviceId: identity.id,
          role: 'operator',
          issuedAtMs: started.nowMs(),
          pending: null,
          promisedAtMs: null,
        },
      ])
    })

    test('of any number of first connections at once, one is handed the token', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => store.admit(attempt({ identity, token, handsOutToken: true }))),
      )
      const tokens = answers.map(each => (each.outcome === 'admitted' ? each.deviceToken : 'refused'))
      expect(tokens.filter(each => each !== null)).toHaveLength(1)
    })

    test('its last six characters are a checksum, so that a slip is no guess', async () => {
      const started = await startStore(openStore)
      const { first } = await handedOut(started)
      const body = first.slice(0, -6)
      expect(createHash('sha256').update(body).digest('base64url').slice(0, 6)).toBe(first.slice(-6))
    })

    test('it is good for its own device and role, whole, and for nobody else', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity, first } = await handedOut(started)
      const other = await handedOut(started)
      const wrong = 'device-token-mismatch'
      expect(await shown(store, identity, first)).toBe('admitted')
      expect(await shown(store, other.identity, first)).toBe(wrong)
      expect(await shown(store, createEphemeralIdentity(), first)).toBe(wrong)
      const node = attempt({ identity, deviceToken: first, role: 'node', scopes: [] })
      expect(await store.admit(node)).toMatchObject({ refusal: { code: wrong } })
      const last = first.at(-1) === 'A' ? 'B' : 'A'
      for (const near of [first.slice(0, -1) + last, first.toUpperCase(), `${first}A`, 'hfd_', 'x']) {
        expect(await shown(store, identity, near)).toBe(wrong)
      }
      const credential = { kind: 'device-token', token: 'hfd_x', via: 'token' } as const
      expect(await store.admit(attempt({ identity, credential }))).toMatchObject({
        refusal: { code: 'token-mismatch' },
      })
    })

    test('whether it is live is said before whether the proof is good: a bad proof costs nobody a good token', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity, first } = await handedOut(started)
      const forged = attempt({ identity, deviceToken: first, badlySigned: true })
      expect(await store.admit(forged)).toMatchObject({ refusal: { code: 'signature-invalid' } })
      const dead = attempt({ identity, deviceToken: `${first}x`, badlySigned: true })
      expect(await store.admit(dead)).toMatchObject({ refusal: { code: 'device-token-mismatch' } })
    })

    test('it never narrows and never widens what the rules give', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity, first } = await handedOut(started)
      const ask = (scope: string) => store.admit(attempt({ identity, deviceToken: first, scopes: [scope] }))
      expect(await ask('operator.write')).toMatchObject({ outcome: 'admitted', scopes: ['operator.write'] })
      expect(await ask('operator.admin')).toMatchObject({ refusal: { code: 'pairing-required' } })
      expect(await shown(store, identity, first)).toBe('admitted')
    })

    test('F68: the current one outlives a rotation whose answer was lost, for as long as one likes', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity, first } = await handedOut(started)
      const lost = await rotated(store, identity)
      started.passMs(WEEK_MS - 1)
      expect(await shown(store, identity, first)).toBe('admitted')
      started.passMs(1)
      expect(await shown(store, identity, first)).toBe('admitted')
      expect(await shown(store, identity, lost)).toBe('device-token-mismatch')
      expect(await store.listDeviceTokens(identity.id)).toMatchObject([{ pending: null }])
      started.passMs(100 * WEEK_MS)
      expect(await shown(store, identity, first)).toBe('admitted')
    })

    test('F68: the new one is good at once, and only its first use counts the days of the old', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity, first } = await handedOut(started)
      const next = await rotated(store, identity)
      started.passMs(WEEK_MS - 1)
      expect(await shown(store, identity, next)).toBe('admitted')
      // Siblings that read the old one a moment ago.
      started.passMs(MINUTE_MS - 1)
      expect(await shown(store, identity, first)).toBe('admitted')
      started.passMs(1)
      expect(await shown(store, identity, first)).toBe('device-token-mismatch')
      started.passMs(100 * WEEK_MS)
      expect(await shown(store, identity, next)).toBe('admitted')
    })

    test('F68: the siblings of a device use the new one at once, and one of them makes it the current one', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity, first } = await handedOut(started)
      const next = await rotated(store, identity)
      const used = await Promise.all(Array.from({ length: 8 }, () => shown(store, identity, next)))
      expect(new Set(used)).toEqual(new Set(['admitted']))
      expect(await shown(store, identity, first)).toBe('admitted')
      // A rotation right after it leaves the one that was just promoted alone.
      const third = await rotated(store, identity)
      expect(await shown(store, identity, next)).toBe('admitted')
      expect(await shown(store, identity, third)).toBe('admitted')
      expect(await shown(store, identity, next)).toBe('admitted')
    })

    test('F71: of 24 that rotate at once one is given a new token, and no other makes that void', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity, first } = await handedOut(started)
      const rotate = () => store.rotateDeviceToken(identity.id, { ...WRITER, role: 'operator' })
      const answers = await Promise.all(Array.from({ length: 24 }, rotate))
      const [won, ...others] = answers.flatMap(each =>
        each.outcome === 'rotated' ? [each.issued.token] : [],
      )
      expect(others).toEqual([])
      expect(answers.filter(each => each.outcome === 'rotation-pending')).toHaveLength(23)
      for (const each of [first, won ?? '']) expect(await shown(store, identity, each)).toBe('admitted')
    })

    test('F68: whoever lost the answer to a rotation can make another a moment later', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity } = await handedOut(started)
      const lost = await rotated(store, identity)
      const rotate = () => store.rotateDeviceToken(identity.id, { ...WRITER, role: 'operator' })
      started.passMs(4_999)
      expect(await rotate()).toEqual({ outcome: 'rotation-pending', retryAfterMs: 1 })
      started.passMs(1)
      const next = await rotated(store, identity)
      expect(await shown(store, identity, lost)).toBe('device-token-mismatch')
      expect(await shown(store, identity, next)).toBe('admitted')
    })

    test('F68: a device whose token is dead is let in by its key, and handed another after a revocation', async () => {
      const started = await startStore(openStore)
      const { store, token } = started
      const { identity, first } = await handedOut(started)
      const options = { ...WRITER, role: 'operator' }
      const next = await rotated(store, identity)
      expect(await store.revokeDeviceToken(identity.id, options)).toEqual({
        outcome: 'revoked',
        revokedAtMs: started.nowMs(),
      })
      expect(await store.revokeDeviceToken(identity.id, options)).toEqual({ outcome: 'token-absent' })
      expect(await store.rotateDeviceToken(identity.id, options)).toEqual({ outcome: 'token-absent' })
      for (const dead of [first, next])
        expect(await shown(store, identity, dead)).toBe('device-token-mismatch')
      expect(await store.admit(attempt({ identity }))).toMatchObject({ outcome: 'admitted' })
      const again = await store.admit(attempt({ identity, token, handsOutToken: true }))
      expect(again).toMatchObject({ deviceToken: { token: expect.stringMatching(/^hfd_/) } })
    })

    test('a promised one is handed out once, at the next hello under the gateway token, beside the current one', async () => {
      const started = await startStore(openStore)
      const { store, token } = started
      const { identity, first } = await handedOut(started)
      const ask = () => store.admit(attempt({ identity, token, handsOutToken: true }))
      const promise = () =>
        store.rotateDeviceToken(identity.id, { ...WRITER, role: 'operator', delivery: 'hello' })
      expect(await promise()).toMatchObject({ outcome: 'promised' })
      expect(await promise()).toMatchObject({ outcome: 'promised' })
      expect(await shown(store, identity, first)).toBe('admitted')
      const answer = await ask()
      if (answer.outcome !== 'admitted' || answer.deviceToken === null) throw new Error('no token')
      expect(await ask()).toMatchObject({ deviceToken: null })
      expect(await shown(store, identity, first)).toBe('admitted')
      expect(await shown(store, identity, answer.deviceToken.token)).toBe('admitted')
      started.passMs(MINUTE_MS)
      expect(await shown(store, identity, first)).toBe('device-token-mismatch')
    })

    test('it dies with the device, or the role, and M18: neither comes back with it', async () => {
      for (const role of [undefined, 'operator']) {
        const started = await startStore(openStore)
        const { store, token } = started
        const { identity, first } = await handedOut(started)
        const next = await rotated(store, identity)
        await store.revokeDevice(identity.id, { ...WRITER, ...(role && { role }), keepRegistration: true })
        const options = { ...WRITER, role: 'operator' }
        expect(await store.issueDeviceToken(identity.id, options)).toEqual({ outcome: 'device-revoked' })
        expect(await store.rotateDeviceToken(identity.id, options)).toEqual({ outcome: 'device-revoked' })
        expect(await store.admit(attempt({ identity, token, handsOutToken: true }))).toMatchObject({
          refusal: { code: 'device-revoked' },
        })
        await store.reinstateDevice(identity.id, WRITER)
        expect(await store.listDeviceTokens(identity.id)).toEqual([])
        for (const dead of [first, next])
          expect(await shown(store, identity, dead)).toBe('device-token-mismatch')
      }
    })

    test('a store-writer issues one to a device that never showed the gateway token', async () => {
      const { store } = await startStore(openStore)
      const identity = await approved(store, 'operator.read')
      const options = { ...WRITER, role: 'operator' }
      const answer = await store.issueDeviceToken(identity.id, options)
      if (answer.outcome !== 'issued') throw new Error(answer.outcome)
      expect(answer).toMatchObject({ issued: { deviceId: identity.id }, scopes: ['operator.read'] })
      const { token: deviceToken } = answer.issued
      expect(await store.admit(attempt({ identity, deviceToken, origin: REMOTE }))).toMatchObject({
        outcome: 'admitted',
      })
      expect(await store.issueDeviceToken(identity.id, options)).toEqual({ outcome: 'token-live' })
      expect(await store.issueDeviceToken(identity.id, { ...WRITER, role: 'node' })).toEqual({
        outcome: 'role-unknown',
      })
      expect(await store.issueDeviceToken(identity.id, { ...WRITER, role: 'king' })).toEqual({
        outcome: 'role-unknown',
      })
      for (const stranger of [createEphemeralIdentity().id, '__proto__', '', identity.id.toUpperCase()]) {
        expect(await store.rotateDeviceToken(stranger as DeviceId, options)).toEqual({ outcome: 'unknown' })
        expect(await store.revokeDeviceToken(stranger as DeviceId, options)).toEqual({ outcome: 'unknown' })
        expect(await store.listDeviceTokens(stranger as DeviceId)).toEqual([])
      }
    })

    test('C5: nobody rotates, revokes or issues the token of a device that reaches further than they do', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const admin = await approved(store, 'operator.admin')
      const role = 'operator'
      await store.issueDeviceToken(admin.id, { ...WRITER, role })
      const before = await store.listDeviceTokens(admin.id)
      const pairing = await approved(store, 'operator.pairing')
      const by = acting(pairing.id, 'operator.pairing')
      const lying = acting(pairing.id, 'operator.admin')
      for (const actor of [by, lying]) {
        const refusal = { outcome: 'approver-too-small', missing: ['operator.admin'] }
        expect(await store.rotateDeviceToken(admin.id, { by: actor, role })).toEqual(refusal)
        expect(await store.revokeDeviceToken(admin.id, { by: actor, role })).toEqual(refusal)
        expect(await store.issueDeviceToken(admin.id, { by: actor, role })).toEqual(refusal)
        const hello = { by: actor, role, delivery: 'hello' } as const
        expect(await store.rotateDeviceToken(admin.id, hello)).toEqual(refusal)
      }
      expect(await store.listDeviceTokens(admin.id)).toEqual(before)
      expect(await store.rotateDeviceToken(pairing.id, { by: lying, role: 'node' })).toEqual({
        outcome: 'role-unknown',
      })
    })

    test('C5: rotating one’s own cannot widen, not even in name', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const identity = await approved(store, 'operator.pairing', 'operator.read')
      const role = 'operator'
      await store.issueDeviceToken(identity.id, { ...WRITER, role })
      const before = await store.findDevice(identity.id)
      const by = acting(identity.id, 'operator.pairing')
      const rotate = (...named: string[]) => store.rotateDeviceToken(identity.id, { by, role, scopes: named })
      expect(await rotate('operator.admin')).toMatchObject({ outcome: 'approver-too-small' })
      // The device has it, this session has not.
      expect(await rotate('operator.read')).toEqual({
        outcome: 'approver-too-small',
        missing: ['operator.read'],
      })
      expect(await rotate('operator.nothing')).toEqual({ outcome: 'scope-unknown' })
      expect(await store.listDeviceTokens(identity.id)).toMatchObject([{ pending: null }])
      const answer = await rotate('operator.pairing')
      if (answer.outcome !== 'rotated') throw new Error(answer.outcome)
      // It carries no scopes of its own: what it is shown for is what the device has.
      expect(answer.scopes).toEqual(['operator.pairing', 'operator.read'])
      const wide = attempt({
        identity,
        deviceToken: answer.issued.token,
        origin: REMOTE,
        scopes: ['operator.admin'],
      })
      expect(await store.admit(wide)).toMatchObject({ refusal: { code: 'pairing-required' } })
      expect(await store.findDevice(identity.id)).toEqual(before)
    })

    test('C5: whoever acts must say as whom', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const { identity } = await handedOut(started)
      const nobody = { role: 'operator' } as never
      await expect(store.rotateDeviceToken(identity.id, nobody)).rejects.toThrow(TypeError)
      await expect(store.revokeDeviceToken(identity.id, nobody)).rejects.toThrow(TypeError)
      await expect(store.issueDeviceToken(identity.id, nobody)).rejects.toThrow(TypeError)
    })
  })
}
