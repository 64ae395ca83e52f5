import { createEphemeralIdentity, type DeviceId } from '@holdfast/identity'
import type { Actor, PairingStore } from '@holdfast/pairing-store'
import { describe, expect, test } from 'vitest'
import { attempt, REMOTE, scopes, type Wished } from '../attempts.ts'
import { listen, type OpenStore, startStore, WRITER } from './open-store.ts'

const ROLE = 'operator'
const MINUTE_MS = 60_000

async function madeCode(store: PairingStore, ...names: string[]) {
  const answer = await store.createJoinCode({ ...WRITER, role: ROLE, scopes: names })
  if (answer.outcome !== 'made') throw new Error(answer.outcome)
  return answer
}

/** A connect from afar, with a join code. */
function joining(code: string, wished: Wished = {}) {
  return attempt({ origin: REMOTE, credential: { kind: 'join-code', code }, ...wished })
}

function acting(deviceId: DeviceId, ...held: string[]): Actor {
  return { kind: 'device', deviceId, role: ROLE as never, scopes: scopes(...held) }
}

export function joiningContract(openStore: OpenStore): void {
  describe('hosts where nobody can approve', () => {
    test('F75: a device that is known by its key beforehand is let in from anywhere, with what it was given', async () => {
      const { store } = await startStore(openStore)
      const heard = listen(store)
      const identity = createEphemeralIdentity()
      const { publicKey } = identity
      const known = { ...WRITER, publicKey, role: ROLE, scopes: ['operator.read'], name: 'sensor' }
      expect(await store.preregisterDevice(known)).toMatchObject({
        outcome: 'registered',
        device: {
          deviceId: identity.id,
          trust: 'approved',
          name: 'sensor',
          registeredBy: 'preregistration',
          roles: [{ role: ROLE, grant: ['operator.read'] }],
        },
      })
      expect(heard).toMatchObject([{ kind: 'device-changed', deviceId: identity.id }])
      expect(await store.admit(attempt({ identity, origin: REMOTE }))).toMatchObject({
        outcome: 'admitted',
        decision: { rule: '9' },
        registered: false,
      })
      const more = attempt({ identity, origin: REMOTE, scopes: ['operator.write'] })
      expect(await store.admit(more)).toMatchObject({ refusal: { code: 'pairing-required' } })
      expect(await store.preregisterDevice({ ...known, scopes: ['operator.admin'] })).toMatchObject({
        outcome: 'known',
        device: { roles: [{ grant: ['operator.read'] }] },
      })
      await store.revokeDevice(identity.id, WRITER)
      expect(await store.preregisterDevice(known)).toEqual({ outcome: 'device-revoked' })
    })

    test('F75: the first device that shows a code has what it gives, under one rule and in one step', async () => {
      const { store } = await startStore(openStore)
      const { code, joinCode } = await madeCode(store, 'operator.write')
      expect(code).toMatch(/^hfj_[\w-]{28}$/)
      const heard = listen(store)
      const identity = createEphemeralIdentity()
      expect(await store.admit(joining(code, { identity, name: 'host 7' }))).toMatchObject({
        outcome: 'admitted',
        decision: { rule: '10a' },
        registered: true,
        scopes: ['operator.read'],
      })
      expect(heard).toMatchObject([{ kind: 'device-changed', deviceId: identity.id }])
      expect(await store.findDevice(identity.id)).toMatchObject({
        trust: 'approved',
        name: 'host 7',
        registeredBy: 'join-code',
        roles: [{ role: ROLE, grant: ['operator.write'] }],
      })
      expect(await store.listJoinCodes()).toMatchObject([{ codeId: joinCode.codeId, spentBy: identity.id }])
      expect((await store.listRequests()).items).toEqual([])
      // From now on its key is enough, and gives all of the code.
      const later = attempt({ identity, origin: REMOTE, scopes: ['operator.write'] })
      expect(await store.admit(later)).toMatchObject({ outcome: 'admitted', decision: { rule: '9' } })
    })

    test('H20: a spent code is good for the key that spent it until it expires, and for nobody else', async () => {
      const { store, passMs } = await startStore(openStore)
      const { code } = await madeCode(store, 'operator.read')
      const identity = createEphemeralIdentity()
      await store.admit(joining(code, { identity }))
      const again = await store.admit(joining(code, { identity }))
      expect(again).toMatchObject({ outcome: 'admitted', decision: { rule: '9' }, registered: false })
      const thief = { refusal: { code: 'join-code-invalid' }, opened: null }
      expect(await store.admit(joining(code))).toMatchObject(thief)
      expect(await store.admit(joining(code, { identity, badlySigned: true }))).toMatchObject(thief)
      passMs(10 * MINUTE_MS - 1)
      expect(await store.admit(joining(code, { identity }))).toMatchObject({ outcome: 'admitted' })
      passMs(1)
      expect(await store.admit(joining(code, { identity }))).toMatchObject(thief)
      expect((await store.listDevices()).items).toHaveLength(1)
      expect((await store.listRequests()).items).toEqual([])
    })

    test('H20: of 20 devices that show one code at once, one joins', async () => {
      const { store } = await startStore(openStore)
      const { code } = await madeCode(store, 'operator.read')
      const answers = await Promise.all(Array.from({ length: 20 }, () => store.admit(joining(code))))
      expect(answers.filter(each => each.outcome === 'admitted')).toHaveLength(1)
      for (const answer of answers) {
        if (answer.outcome === 'refused') expect(answer.refusal.code).toBe('join-code-invalid')
      }
      expect((await store.listDevices()).items).toHaveLength(1)
    })

    test('H20: role and scopes are bound to the code: whoever wishes more waits for a person, and spends nothing', async () => {
      const { store } = await startStore(openStore)
      const { code } = await madeCode(store, 'operator.read')
      const asked = { refusal: { code: 'pairing-required' } }
      expect(await store.admit(joining(code, { scopes: ['operator.admin'] }))).toMatchObject(asked)
      expect(await store.admit(joining(code, { role: 'node', scopes: [] }))).toMatchObject(asked)
      expect(await store.listJoinCodes()).toMatchObject([{ spentBy: null }])
      expect(await store.admit(joining(code))).toMatchObject({ outcome: 'admitted' })
    })

    test('H20: what a person took back is not had again by showing the code', async () => {
      const { store } = await startStore(openStore)
      const { code } = await madeCode(store, 'operator.write')
      const identity = createEphemeralIdentity()
      const wish = { identity, scopes: ['operator.write'] }
      await store.admit(joining(code, wish))
      await store.narrowDevice(identity.id, { ...WRITER, role: ROLE, scopes: ['operator.read'] })
      expect(await store.admit(joining(code, wish))).toMatchObject({ refusal: { code: 'pairing-required' } })
      await store.revokeDevice(identity.id, WRITER)
      expect(await store.admit(joining(code, wish))).toMatchObject({ refusal: { code: 'device-revoked' } })
      await store.reinstateDevice(identity.id, WRITER)
      expect(await store.admit(joining(code, wish))).toMatchObject({ refusal: { code: 'pairing-required' } })
    })

    test('a code gives a known device its scopes beside what it has, and leaves its trust', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token }))
      const { code } = await madeCode(store, 'operator.admin')
      const beyond = { identity, scopes: ['operator.admin'] }
      expect(await store.admit(joining(code, beyond))).toMatchObject({
        decision: { rule: '10a' },
        registered: false,
      })
      expect(await store.findDevice(identity.id)).toMatchObject({
        trust: 'trusted-local',
        roles: [{ grant: ['operator.admin'] }],
      })
    })

    test('H20: ten minutes at most, and never past an expiry of less', async () => {
      const { store, passMs } = await startStore(openStore)
      const make = (ttlMs: number) => store.createJoinCode({ ...WRITER, role: ROLE, scopes: [], ttlMs })
      for (const ttlMs of [10 * MINUTE_MS + 1, 0, -1, 1.5, Number.NaN]) {
        await expect(make(ttlMs)).rejects.toBeInstanceOf(TypeError)
      }
      const answer = await make(MINUTE_MS)
      if (answer.outcome !== 'made') throw new Error(answer.outcome)
      passMs(MINUTE_MS)
      expect(await store.admit(joining(answer.code, { scopes: [] }))).toMatchObject({
        refusal: { code: 'join-code-invalid' },
      })
      expect(await store.listJoinCodes()).toEqual([])
    })

    test('H20: no code can be told from the store, the log or the list, and a slip is no guess', async () => {
      const { store } = await startStore(openStore)
      const { code, joinCode } = await madeCode(store, 'operator.read')
      const last = code.endsWith('A') ? 'B' : 'A'
      for (const wrong of [
        '',
        'hfj_',
        code.slice(0, -1),
        code.slice(0, -1) + last,
        `${code}A`,
        joinCode.codeId,
      ]) {
        expect(await store.admit(joining(wrong))).toMatchObject({ refusal: { code: 'join-code-invalid' } })
      }
      const shown = JSON.stringify([await store.listJoinCodes(), (await store.listAudit()).items, joinCode])
      expect(shown).not.toContain(code.slice(4, 26))
    })

    test('a code that is withdrawn is good for nobody', async () => {
      const { store } = await startStore(openStore)
      const { code, joinCode } = await madeCode(store, 'operator.read')
      expect(await store.withdrawJoinCode(joinCode.codeId, WRITER)).toMatchObject({ outcome: 'withdrawn' })
      expect(await store.admit(joining(code))).toMatchObject({ refusal: { code: 'join-code-invalid' } })
      for (const id of [joinCode.codeId, joinCode.codeId.slice(0, 8), '__proto__', '']) {
        expect(await store.withdrawJoinCode(id, WRITER)).toEqual({ outcome: 'unknown' })
      }
    })

    test('C4: nobody gives by a code or a registration what they do not hold', async () => {
      const { store } = await startStore(openStore)
      const { publicKey, id } = createEphemeralIdentity()
      const given = { ...WRITER, publicKey, role: ROLE, scopes: ['operator.pairing'] }
      await store.preregisterDevice(given)
      const by = acting(id, 'operator.pairing')
      const claiming = acting(id, 'operator.admin')
      const other = { publicKey: createEphemeralIdentity().publicKey, role: ROLE, scopes: ['operator.admin'] }
      const deviceless = {
        kind: 'deviceless',
        role: ROLE as never,
        scopes: scopes('operator.pairing'),
      } as const
      for (const actor of [by, claiming, deviceless]) {
        const small = { outcome: 'approver-too-small', missing: ['operator.admin'] }
        expect(await store.createJoinCode({ by: actor, role: ROLE, scopes: ['operator.admin'] })).toEqual(
          small,
        )
        expect(await store.preregisterDevice({ by: actor, ...other })).toEqual(small)
      }
      const { joinCode } = await madeCode(store, 'operator.admin')
      expect(await store.withdrawJoinCode(joinCode.codeId, { by })).toMatchObject({
        outcome: 'approver-too-small',
      })
      const own = await store.createJoinCode({ by, role: ROLE, scopes: ['operator.pairing'] })
      expect(own).toMatchObject({ outcome: 'made' })
      expect(await store.createJoinCode({ ...WRITER, role: 'nobody', scopes: [] })).toEqual({
        outcome: 'role-unknown',
      })
      expect(await store.createJoinCode({ ...WRITER, role: ROLE, scopes: ['operator.none'] })).toEqual({
        outcome: 'scope-unknown',
      })
      const without = { role: ROLE, scopes: [] } as never
      await expect(store.createJoinCode(without)).rejects.toBeInstanceOf(TypeError)
      await expect(store.preregisterDevice(without)).rejects.toBeInstanceOf(TypeError)
    })

    test('each step of it is in the audit log', async () => {
      const { store } = await startStore(openStore)
      const { code, joinCode } = await madeCode(store, 'operator.read')
      const identity = createEphemeralIdentity()
      await store.admit(joining(code, { identity }))
      await store.preregisterDevice({
        ...WRITER,
        publicKey: createEphemeralIdentity().publicKey,
        role: ROLE,
        scopes: [],
      })
      const { items } = await store.listAudit()
      expect(items.slice(2)).toMatchObject([
        { act: 'join-code-made', by: 'store-writer', subject: joinCode.codeId },
        { act: 'join-code-spent', by: identity.id, subject: joinCode.codeId, rule: '10a' },
        { act: 'device-approved', by: identity.id, deviceId: identity.id, from: null, rule: '10a' },
        { act: 'device-approved', by: 'store-writer', from: null, rule: null },
      ])
      expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact' })
    })
  })
}
