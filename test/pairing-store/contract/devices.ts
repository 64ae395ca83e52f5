import { createEphemeralIdentity, type DeviceId } from '@holdfast/identity'
import type { Actor, PairingStore } from '@holdfast/pairing-store'
import { describe, expect, test } from 'vitest'
import { attempt, newToken, REMOTE, scopes } from '../attempts.ts'
import { listen, type OpenStore, startStore, until, WRITER } from './open-store.ts'

async function local(store: PairingStore, token: string) {
  const identity = createEphemeralIdentity()
  await store.admit(attempt({ identity, token }))
  return identity
}

function acting(deviceId: DeviceId, ...held: string[]): Actor {
  return { kind: 'device', deviceId, role: 'operator' as never, scopes: scopes(...held) }
}

function deviceless(...held: string[]): Actor {
  return { kind: 'deviceless', role: 'operator' as never, scopes: scopes(...held) }
}

/** A device to which a person gave everything. */
async function admin(store: PairingStore): Promise<Actor> {
  const identity = createEphemeralIdentity()
  const answer = await store.admit(attempt({ identity, origin: REMOTE, scopes: ['operator.admin'] }))
  if (answer.outcome !== 'refused' || answer.opened === null) throw new Error('no request')
  const { requestId, digest } = answer.opened
  await store.approveRequest(requestId, { ...WRITER, expectedDigest: digest })
  return acting(identity.id, 'operator.admin')
}

export function deviceContract(openStore: OpenStore): void {
  describe('devices', () => {
    test('a role is revoked alone, for good, until the device is reinstated', async () => {
      const { store, token } = await startStore(openStore)
      const identity = await local(store, token)
      expect(await store.revokeDevice(identity.id, { ...WRITER, role: 'operator' })).toMatchObject({
        outcome: 'changed',
        device: { trust: 'trusted-local', roles: [{ role: 'operator', revokedAtMs: expect.any(Number) }] },
      })
      expect(await store.admit(attempt({ identity, token }))).toMatchObject({
        refusal: { code: 'device-revoked' },
      })
      expect(await store.admit(attempt({ identity, token, role: 'node', scopes: [] }))).toMatchObject({
        refusal: { code: 'pairing-required' },
      })
      expect(await store.revokeDevice(identity.id, { ...WRITER, role: 'operator' })).toMatchObject({
        outcome: 'unchanged',
      })
      expect(await store.revokeDevice(identity.id, { ...WRITER, role: 'nobody' })).toEqual({
        outcome: 'role-unknown',
      })
      await store.reinstateDevice(identity.id, WRITER)
      expect(await store.admit(attempt({ identity, token }))).toMatchObject({ outcome: 'admitted' })
    })

    test('C1: revoking shuts out the program, not only its key: nobody new registers, by the token as it was or as it is', async () => {
      const { store, token } = await startStore(openStore)
      const rotated = await local(store, token)
      const current = newToken()
      await store.putGatewayToken(current)
      await store.revokeDevice(rotated.id, WRITER)
      expect(await store.findGatewayToken()).toMatchObject({ registers: false })
      expect(await store.admit(attempt({ token: current }))).toMatchObject({
        refusal: { code: 'pairing-required' },
      })
    })

    test('C1: revoking a device that a person approved, and that showed the token, shuts out its program as well', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const answer = await store.admit(attempt({ identity, token, scopes: ['operator.admin'] }))
      if (answer.outcome !== 'refused' || answer.opened === null) throw new Error('no request')
      const { requestId, digest } = answer.opened
      await store.approveRequest(requestId, { ...WRITER, expectedDigest: digest })
      await store.revokeDevice(identity.id, WRITER)
      expect(await store.findGatewayToken()).toMatchObject({ registers: false })
    })

    test('C1: what --keep-registration left open, revoking again closes', async () => {
      const { store, token } = await startStore(openStore)
      const identity = await local(store, token)
      await store.revokeDevice(identity.id, { ...WRITER, keepRegistration: true })
      expect(await store.findGatewayToken()).toMatchObject({ registers: true })
      expect(await store.revokeDevice(identity.id, WRITER)).toMatchObject({ outcome: 'changed' })
      expect(await store.findGatewayToken()).toMatchObject({ registers: false })
    })

    test('a device that leaves by itself shuts nobody else out', async () => {
      const { store, token } = await startStore(openStore)
      const identity = await local(store, token)
      const by = acting(identity.id)
      expect(await store.revokeDevice(identity.id, { by })).toMatchObject({ outcome: 'changed' })
      expect(await store.findGatewayToken()).toMatchObject({ registers: true })
    })

    test('narrowing bounds the ceiling and shrinks the grant, and nothing but a person widens it again', async () => {
      const { store, token } = await startStore(openStore)
      const identity = await local(store, token)
      const ask = (scope: string) => store.admit(attempt({ identity, token, scopes: [scope] }))
      const narrow = (by: Actor, ...to: string[]) =>
        store.narrowDevice(identity.id, { by, role: 'operator', scopes: to })
      expect(await narrow(WRITER.by, 'operator.read')).toMatchObject({
        outcome: 'changed',
        device: { roles: [{ narrowedTo: ['operator.read'] }] },
      })
      expect(await narrow(WRITER.by, 'operator.read')).toMatchObject({ outcome: 'unchanged' })
      expect(await ask('operator.read')).toMatchObject({ outcome: 'admitted' })
      expect(await ask('operator.write')).toMatchObject({ outcome: 'refused' })
      const self = acting(identity.id, 'operator.read')
      expect(await narrow(self, 'operator.write')).toMatchObject({ outcome: 'approver-too-small' })
      expect(await narrow(WRITER.by, 'operator.nothing')).toEqual({ outcome: 'scope-unknown' })
      // Giving up is a device's own to do.
      expect(await narrow(self)).toMatchObject({ outcome: 'changed' })
      expect(await ask('operator.read')).toMatchObject({ outcome: 'refused' })
      expect(await narrow(WRITER.by, 'operator.write')).toMatchObject({ outcome: 'changed' })
      expect(await ask('operator.write')).toMatchObject({ outcome: 'admitted' })
    })

    test('narrowing takes from a grant and never gives to it', async () => {
      const { store } = await startStore(openStore)
      const by = await admin(store)
      if (by.kind !== 'device') throw new Error('no device')
      const narrow = (...to: string[]) =>
        store.narrowDevice(by.deviceId, { ...WRITER, role: 'operator', scopes: to })
      expect(await narrow('operator.read')).toMatchObject({
        device: { roles: [{ grant: ['operator.read'] }] },
      })
      expect(await narrow('operator.admin')).toMatchObject({
        device: { roles: [{ grant: ['operator.read'] }] },
      })
      expect(await store.narrowDevice(by.deviceId, { ...WRITER, role: 'node', scopes: [] })).toEqual({
        outcome: 'role-unknown',
      })
    })

    test.each([
      ['a device', (id: DeviceId) => acting(id, 'operator.read')],
      ['a connection without one', () => deviceless('operator.read')],
    ])('C5: %s acts on others only within what it holds now', async (_, actor) => {
      const { store, token } = await startStore(openStore)
      const small = actor((await local(store, token)).id)
      const target = (await local(store, token)).id
      const before = await store.findDevice(target)
      const refusal = { outcome: 'approver-too-small' }
      expect(await store.revokeDevice(target, { by: small })).toMatchObject(refusal)
      expect(await store.revokeDevice(target, { by: small, role: 'operator' })).toMatchObject(refusal)
      expect(await store.renameDevice(target, { by: small, name: 'x' })).toMatchObject(refusal)
      expect(await store.narrowDevice(target, { by: small, role: 'operator', scopes: [] })).toMatchObject(
        refusal,
      )
      const issued = { by: small, role: 'operator' }
      expect(await store.issueDeviceToken(target, issued)).toMatchObject(refusal)
      expect(await store.findDevice(target)).toEqual(before)
      const by = await admin(store)
      expect(await store.revokeDevice(target, { by, keepRegistration: true })).toMatchObject({
        outcome: 'changed',
      })
      expect(await store.reinstateDevice(target, { by: small })).toMatchObject(refusal)
      expect(await store.reinstateDevice(target, { by })).toMatchObject({ outcome: 'changed' })
    })

    test('H22: a leaked gateway token is undone with all that it registered, at once, device tokens and all', async () => {
      const { store, token } = await startStore(openStore)
      const leaked = await store.findGatewayToken()
      if (leaked === null) throw new Error('no token')
      const { generationId } = leaked
      const registered = await Promise.all(Array.from({ length: 5 }, () => local(store, token)))
      const [first] = registered
      if (first === undefined) throw new Error('no device')
      const issued = await store.issueDeviceToken(first.id, { ...WRITER, role: 'operator' })
      if (issued.outcome !== 'issued') throw new Error(issued.outcome)
      const boss = await admin(store)
      const heard = listen(store)
      const answer = await store.revokeRegistered(generationId, WRITER)
      if (answer.outcome !== 'revoked') throw new Error(answer.outcome)
      expect([...answer.deviceIds].sort()).toEqual(registered.map(each => each.id).sort())
      expect(heard.map(each => each.kind)).toEqual(Array(5).fill('device-changed'))
      for (const identity of registered) {
        expect(await store.admit(attempt({ identity, token }))).toMatchObject({
          refusal: { code: 'device-revoked' },
        })
      }
      const shown = attempt({ identity: first, deviceToken: issued.issued.token })
      expect(await store.admit(shown)).toMatchObject({ refusal: { code: 'device-token-mismatch' } })
      // Not whom a person approved, and nobody new.
      if (boss.kind !== 'device') throw new Error('no device')
      expect((await store.findDevice(boss.deviceId))?.trust).toBe('approved')
      expect(await store.admit(attempt({ token }))).toMatchObject({ refusal: { code: 'pairing-required' } })
      const next = newToken()
      await store.putGatewayToken(next)
      const { id } = await local(store, next)
      expect(await store.revokeRegistered(generationId, WRITER)).toEqual({
        outcome: 'revoked',
        deviceIds: [],
      })
      expect((await store.findDevice(id))?.trust).toBe('trusted-local')
      expect(await store.revokeRegistered('00'.repeat(32), WRITER)).toEqual({ outcome: 'unknown' })
      await expect(store.revokeRegistered(generationId, { by: boss } as never)).rejects.toBeInstanceOf(
        TypeError,
      )
    })

    test('a device may leave, and may not let itself back in', async () => {
      const { store } = await startStore(openStore)
      const by = await admin(store)
      if (by.kind !== 'device') throw new Error('no device')
      expect(await store.revokeDevice(by.deviceId, { by })).toMatchObject({ outcome: 'changed' })
      expect(await store.reinstateDevice(by.deviceId, { by })).toMatchObject({
        outcome: 'approver-too-small',
      })
      expect(await store.findDevice(by.deviceId)).toMatchObject({ trust: 'revoked' })
    })

    test('devices not seen since a time are forgotten on request alone, each with an entry, and never what was taken away', async () => {
      const { store, token, passMs, nowMs } = await startStore(openStore)
      const [old, revoked, narrowed, seen] = [
        await local(store, token),
        await local(store, token),
        await local(store, token),
        await local(store, token),
      ]
      await store.revokeDevice(revoked.id, { ...WRITER, keepRegistration: true })
      await store.narrowDevice(narrowed.id, { ...WRITER, role: 'operator', scopes: ['operator.read'] })
      passMs(90 * 86_400_000)
      store.noteSeen(seen.id)
      const fresh = await local(store, token)
      const heard = listen(store)
      const notSeenSinceMs = nowMs() - 1_000
      expect(await store.pruneDevices({ ...WRITER, notSeenSinceMs })).toEqual({ pruned: 1 })
      expect(heard).toMatchObject([{ kind: 'device-changed', deviceId: old.id }])
      expect(await store.findDevice(old.id)).toBeNull()
      const kept = (await store.listDevices()).items.map(each => each.deviceId)
      expect(kept.sort()).toEqual([revoked.id, narrowed.id, seen.id, fresh.id].sort())
      const [entry] = (await store.listAudit({ order: 'newest', limit: 1 })).items
      expect(entry).toMatchObject({ act: 'device-pruned', deviceId: old.id, by: 'store-writer', to: null })
      expect(await store.admit(attempt({ identity: old }))).toMatchObject({ outcome: 'refused' })
      expect(await store.admit(attempt({ identity: old, token }))).toMatchObject({ registered: true })
      expect(await store.pruneDevices({ ...WRITER, notSeenSinceMs })).toEqual({ pruned: 0 })
      const by = acting(seen.id, 'operator.admin')
      await expect(store.pruneDevices({ by, notSeenSinceMs } as never)).rejects.toThrow(TypeError)
    })

    test('a name is cleaned, and a device may choose its own', async () => {
      const { store, token } = await startStore(openStore)
      const { id } = await local(store, token)
      const by = acting(id, 'operator.read')
      expect(await store.renameDevice(id, { by, name: ' a\u202e\u0000b ' })).toMatchObject({
        outcome: 'changed',
        device: { name: 'ab' },
      })
      expect(await store.renameDevice(id, { ...WRITER, name: 'ab' })).toMatchObject({ outcome: 'unchanged' })
      expect(await store.renameDevice(id, { ...WRITER, name: '\u200b' })).toMatchObject({
        device: { name: null },
      })
    })

    test('who changes a device is asked for at run time too', async () => {
      const { store, token } = await startStore(openStore)
      const { id } = await local(store, token)
      const none = {} as { by: Actor }
      await expect(store.revokeDevice(id, none)).rejects.toThrow(TypeError)
      await expect(store.reinstateDevice(id, none)).rejects.toThrow(TypeError)
      await expect(store.renameDevice(id, { ...none, name: 'x' })).rejects.toThrow(TypeError)
      await expect(store.narrowDevice(id, { ...none, role: 'operator', scopes: [] })).rejects.toThrow(
        TypeError,
      )
      await expect(store.revokeDevice(id, undefined as never)).rejects.toThrow(TypeError)
    })

    test('devices are listed in pages, whole and once', async () => {
      const { store, token } = await startStore(openStore)
      const ids = await Promise.all(Array.from({ length: 25 }, async () => (await local(store, token)).id))
      const seen: string[] = []
      let after: string | undefined
      do {
        const page = await store.listDevices({ limit: 10, ...(after !== undefined && { after }) })
        expect(page.items.length).toBeLessThanOrEqual(10)
        seen.push(...page.items.map(each => each.deviceId))
        after = page.next ?? undefined
      } while (after !== undefined)
      expect(seen).toEqual(ids.sort())
    })

    test('last-seen times are written by the time the store is closed', async () => {
      const { store, token, place, nowMs } = await startStore(openStore)
      const { id } = await local(store, token)
      store.noteSeen(id)
      store.noteSeen(createEphemeralIdentity().id)
      await store.close()
      const again = await openStore(place)
      expect(await again.findDevice(id)).toMatchObject({ lastSeenAtMs: nowMs() })
    })

    test('500 last-seen times are written without waiting for the store to be closed', async () => {
      const { store, token, place } = await startStore(openStore)
      const { id } = await local(store, token)
      const other = await openStore(place)
      store.noteSeen(id)
      for (let count = 0; count < 500; count += 1) store.noteSeen(createEphemeralIdentity().id)
      await until(async () => (await other.findDevice(id))?.lastSeenAtMs !== null)
    })

    test('a closed store says so, to every call, and may be closed twice', async () => {
      const { store } = await startStore(openStore)
      await Promise.all([store.close(), store.close()])
      await store.close()
      const closed = { code: 'STORE_CLOSED' }
      await expect(store.listDevices()).rejects.toMatchObject(closed)
      await expect(store.admit(attempt())).rejects.toMatchObject(closed)
      await expect(store.findGatewayToken()).rejects.toMatchObject(closed)
      expect(() => listen(store)).toThrow(expect.objectContaining(closed))
    })
  })

  describe('changes', () => {
    test('F48: what another process approves is told here, and admits at once', async () => {
      const { store, place } = await startStore(openStore)
      const other = await openStore(place, { clock: () => Date.parse('2026-03-01T12:00:01Z') })
      const heard = listen(store)
      const identity = createEphemeralIdentity()
      const connect = () => store.admit(attempt({ identity, origin: REMOTE }))
      await connect()
      const [request] = (await other.listRequests()).items
      if (request === undefined) throw new Error('the other process sees no request')
      const { requestId, digest } = request
      await other.approveRequest(requestId, { ...WRITER, expectedDigest: digest })
      // The facts are read anew; nobody has to be told first.
      expect(await connect()).toMatchObject({ outcome: 'admitted' })
      await until(() => heard.length >= 3)
      expect(heard).toMatchObject([
        { kind: 'request-opened', requestId },
        { kind: 'request-closed', requestId, outcome: 'approved' },
        { kind: 'device-changed', deviceId: identity.id },
      ])
    })

    test('F48: two writers are both told everything, once, in the same order', async () => {
      const { store, token, place } = await startStore(openStore)
      const other = await openStore(place)
      const [here, there] = [listen(store), listen(other)]
      const writers = [store, other, store, other]
      await Promise.all(writers.flatMap(each => Array.from({ length: 10 }, () => local(each, token))))
      await until(() => here.length >= 40 && there.length >= 40)
      expect(here).toHaveLength(40)
      expect(there).toEqual(here)
      expect(here.map(each => each.sequence)).toEqual(here.map(each => each.sequence).sort((a, b) => a - b))
    })

    test('a listener hears nothing from before, its own changes before the call resolves, and nothing after it stops', async () => {
      const { store, token } = await startStore(openStore)
      const heard: string[] = []
      const stop = store.subscribe(change => heard.push(change.kind))
      expect(heard).toEqual([])
      await local(store, token)
      expect(heard).toEqual(['device-changed'])
      stop()
      await local(store, token)
      expect(heard).toEqual(['device-changed'])
    })
  })
}
