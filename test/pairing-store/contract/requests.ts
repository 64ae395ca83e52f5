import { createHash } from 'node:crypto'
import { BUILT_IN_ROLES, defineRoles } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import type { Actor, PairingStore, RequestRecord } from '@holdfast/pairing-store'
import { describe, expect, test } from 'vitest'
import { attempt, POLICY, REMOTE, scopes, type Wished } from '../attempts.ts'
import { listen, type OpenStore, startStore, WRITER } from './open-store.ts'

const MINUTE_MS = 60_000

async function open(store: PairingStore, wished: Wished = {}): Promise<RequestRecord> {
  const answer = await store.admit(attempt({ origin: REMOTE, ...wished }))
  if (answer.outcome !== 'refused' || answer.opened === null) {
    throw new Error(`no request was opened: ${JSON.stringify(answer.decision.rule)}`)
  }
  return answer.opened
}

async function approve(store: PairingStore, request: RequestRecord, by: Actor = { kind: 'store-writer' }) {
  return store.approveRequest(request.requestId, { by, expectedDigest: request.digest })
}

/** A device that a person gave these scopes, and how it acts. */
async function approver(store: PairingStore, ...held: string[]): Promise<Extract<Actor, { kind: 'device' }>> {
  const identity = createEphemeralIdentity()
  const request = await open(store, { identity, scopes: held })
  await approve(store, request)
  return { kind: 'device', deviceId: identity.id, role: request.role, scopes: request.scopes }
}

export function requestContract(openStore: OpenStore): void {
  describe('requests', () => {
    test('F49: whatever is told of a request finds it in the list at once, for every role, 100 of 100', async () => {
      const { store } = await startStore(openStore)
      for (let round = 0; round < 100; round += 1) {
        const role = round % 2 === 0 ? 'operator' : 'node'
        const wished = { role, scopes: role === 'node' ? [] : ['operator.read'] }
        const origin = { ...REMOTE, source: `198.51.100.${round}` }
        const answer = await store.admit(attempt({ ...wished, origin }))
        if (answer.outcome !== 'refused' || answer.refusal.code !== 'pairing-required')
          throw new Error('admitted')
        const { requestId } = answer.refusal
        const { items } = await store.listRequests()
        expect(items.filter(each => each.requestId === requestId)).toHaveLength(1)
        expect(await store.findRequest(requestId)).toMatchObject({ role, deviceId: answer.opened?.deviceId })
      }
    })

    test('F50: a device that asks each second for half an hour has one request, one alert, and can be approved', async () => {
      const { store, passMs, nowMs } = await startStore(openStore)
      const heard = listen(store)
      const identity = createEphemeralIdentity()
      const ids = new Set<string>()
      const ask = async () => {
        const answer = await store.admit(attempt({ identity, origin: REMOTE, nowMs: nowMs() }))
        if (answer.outcome !== 'refused' || answer.refusal.code !== 'pairing-required')
          throw new Error('admitted')
        ids.add(answer.refusal.requestId)
      }
      for (let second = 0; second < 29 * 60; second += 1) {
        await ask()
        passMs(1_000)
      }
      expect(ids.size).toBe(1)
      expect(heard.map(each => each.kind)).toEqual(['request-opened'])
      const [request] = (await store.listRequests()).items
      if (request === undefined) throw new Error('no request')
      expect(await approve(store, request)).toMatchObject({
        outcome: 'approved',
        device: { trust: 'approved' },
      })
      expect(await store.admit(attempt({ identity, origin: REMOTE, nowMs: nowMs() }))).toMatchObject({
        outcome: 'admitted',
        decision: { rule: '9' },
      })
    })

    test('F53: a request outlives its socket until its time is over, then it is gone everywhere', async () => {
      const { store, passMs } = await startStore(openStore)
      const heard = listen(store)
      const request = await open(store)
      passMs(10 * MINUTE_MS - 1)
      expect(await store.findRequest(request.requestId)).toEqual(request)
      passMs(1)
      expect(await store.findRequest(request.requestId)).toBeNull()
      expect((await store.listRequests()).items).toEqual([])
      expect(await approve(store, request)).toEqual({ outcome: 'expired' })
      expect(await store.findDevice(request.deviceId)).toBeNull()
      const { requestId, deviceId } = request
      expect(heard).toMatchObject([
        { kind: 'request-opened', requestId },
        { kind: 'request-closed', requestId, deviceId, outcome: 'expired' },
      ])
      expect(await approve(store, request)).toEqual({ outcome: 'unknown' })
    })

    test('an expired request is asked for anew, under another id, and its close is told once', async () => {
      const { store, passMs } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const first = await open(store, { identity })
      passMs(11 * MINUTE_MS)
      const heard = listen(store)
      const second = await open(store, { identity })
      expect(second.requestId).not.toBe(first.requestId)
      expect(heard.map(each => each.kind)).toEqual(['request-closed', 'request-opened'])
    })

    test('no request lives longer than a day, however often it is asked for', async () => {
      const { store, passMs, nowMs } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const first = await open(store, { identity })
      const ask = () => store.admit(attempt({ identity, origin: REMOTE, nowMs: nowMs() }))
      for (let round = 0; round < 24 * 12 - 1; round += 1) {
        passMs(5 * MINUTE_MS)
        expect(
          (await ask()).outcome === 'refused' && (await store.findRequest(first.requestId)),
        ).toMatchObject({
          createdAtMs: first.createdAtMs,
        })
      }
      expect((await store.findRequest(first.requestId))?.expiresAtMs).toBe(
        first.createdAtMs + 24 * 60 * MINUTE_MS,
      )
      passMs(5 * MINUTE_MS)
      expect(await ask()).toMatchObject({ opened: { createdAtMs: nowMs() } })
    })

    test('C6: another wish is another request, and touches none', async () => {
      const { store } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const narrow = await open(store, { identity, name: 'one' })
      const wide = await open(store, { identity, scopes: ['operator.admin'], name: 'two' })
      expect(wide.requestId).not.toBe(narrow.requestId)
      expect(wide.digest).not.toBe(narrow.digest)
      // The same wish under another name refreshes the snapshot's life, not the snapshot.
      await store.admit(attempt({ identity, origin: REMOTE, name: 'renamed' }))
      expect(await store.findRequest(narrow.requestId)).toEqual(narrow)
      expect(await approve(store, narrow)).toMatchObject({ outcome: 'approved' })
      expect((await store.findDevice(identity.id))?.roles).toMatchObject([{ grant: ['operator.read'] }])
      expect(await store.findRequest(wide.requestId)).toEqual(wide)
    })

    test('C6: nothing is approved but what was shown', async () => {
      const { store } = await startStore(openStore)
      const request = await open(store)
      const other = await open(store)
      for (const expectedDigest of [other.digest, request.digest.slice(0, 32), '']) {
        expect(await store.approveRequest(request.requestId, { ...WRITER, expectedDigest })).toEqual({
          outcome: 'digest-mismatch',
        })
      }
      expect(await store.findDevice(request.deviceId)).toBeNull()
      expect(await store.findRequest(request.requestId)).toEqual(request)
    })

    test('C6: the digest is over store, id, key, role, sorted scopes, name and origin, each with its length', async () => {
      const { store } = await startStore(openStore)
      const request = await open(store, { scopes: ['operator.write', 'operator.read'], name: 'näme' })
      const hash = createHash('sha256').update('\0holdfast request\0')
      const fields = [
        Buffer.from(store.storeId),
        Buffer.from(request.requestId),
        Buffer.from(request.publicKey.toBytes()),
        ...['operator', '2', 'operator.read', 'operator.write', '1näme', 'none'].map(each =>
          Buffer.from(each),
        ),
      ]
      for (const field of fields) {
        hash.update(Buffer.from([0, 0, field.length >> 8, field.length & 0xff])).update(field)
      }
      expect(request.digest).toBe(hash.digest('hex'))
    })

    test('C8: an id is a whole id, never a prefix, another spelling, or the latest', async () => {
      const { store } = await startStore(openStore)
      const { requestId, digest } = await open(store)
      const others = [requestId.slice(0, 8), requestId.toUpperCase(), `${requestId} `, 'latest', '', '%']
      for (const id of others) {
        expect(await store.approveRequest(id, { ...WRITER, expectedDigest: digest })).toEqual({
          outcome: 'unknown',
        })
        expect(await store.rejectRequest(id, WRITER)).toEqual({ outcome: 'unknown' })
        expect(await store.findRequest(id)).toBeNull()
      }
      expect((await store.listRequests()).items).toHaveLength(1)
    })

    test('H7: names of prototypes are unknown ids, everywhere', async () => {
      const { store } = await startStore(openStore)
      for (const id of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
        const deviceId = id as DeviceIdentity['id']
        const unknown = { outcome: 'unknown' }
        expect(await store.approveRequest(id, { ...WRITER, expectedDigest: '' })).toEqual(unknown)
        expect(await store.rejectRequest(id, WRITER)).toEqual(unknown)
        expect(await store.findRequest(id)).toBeNull()
        expect(await store.findDevice(deviceId)).toBeNull()
        expect(await store.revokeDevice(deviceId, WRITER)).toEqual(unknown)
        expect(await store.reinstateDevice(deviceId, WRITER)).toEqual(unknown)
        expect(await store.renameDevice(deviceId, { ...WRITER, name: 'x' })).toEqual(unknown)
        expect(await store.narrowDevice(deviceId, { ...WRITER, role: 'operator', scopes: [] })).toEqual(
          unknown,
        )
        store.noteSeen(deviceId)
      }
      expect(Object.keys(Object.prototype)).toEqual([])
    })

    test('H6: a fifth wish of one device and role, a 33rd of one source: full, and nothing is stored or lost', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const wishes = ['read', 'write', 'admin', 'pairing', 'talk'].map(each => [`operator.${each}`])
      for (const wish of wishes.slice(0, 4)) await open(store, { identity, scopes: wish })
      const fifth = await store.admit(attempt({ identity, scopes: wishes[4] ?? [], origin: REMOTE }))
      expect(fifth).toMatchObject({
        refusal: { code: 'requests-full', cap: 'device-role' },
        decision: { rule: '13' },
      })
      await open(store, { identity, role: 'node', scopes: [] })
      for (let count = 5; count < 32; count += 1) await open(store)
      const heard = listen(store)
      expect(await store.admit(attempt({ origin: REMOTE }))).toMatchObject({
        refusal: { code: 'requests-full', cap: 'source' },
      })
      expect(heard).toEqual([])
      expect((await store.listRequests({ limit: 1_000 })).items).toHaveLength(32)
      // A retry, another source, and whoever holds the token still get through.
      expect(await store.admit(attempt({ identity, origin: REMOTE, scopes: wishes[0] ?? [] }))).toMatchObject(
        {
          refusal: { code: 'pairing-required' },
          opened: null,
        },
      )
      await open(store, { origin: { ...REMOTE, source: '203.0.113.8' } })
      await open(store, { token })
    })

    test('H6: at most 1,000 requests are open, and there is room again when they expire', async () => {
      const { store, passMs } = await startStore(openStore)
      for (let count = 0; count < 1_000; count += 1) {
        await open(store, { origin: { ...REMOTE, source: `10.0.${count >> 5}.1` } })
      }
      const late = { origin: { ...REMOTE, source: '10.9.9.9' } }
      expect(await store.admit(attempt(late))).toMatchObject({
        refusal: { code: 'requests-full', cap: 'total' },
      })
      const first = await store.listRequests({ limit: 600 })
      const second = await store.listRequests({ limit: 600, after: first.next ?? '' })
      expect(first.items).toHaveLength(600)
      expect(second).toMatchObject({ next: null })
      expect(new Set([...first.items, ...second.items].map(each => each.requestId)).size).toBe(1_000)
      passMs(10 * MINUTE_MS)
      await open(store, late)
      expect((await store.listRequests()).items).toHaveLength(1)
    })

    test('C4: nobody gives what they do not hold, and the request stays', async () => {
      const { store } = await startStore(openStore)
      const by = await approver(store, 'operator.pairing')
      const request = await open(store, { scopes: ['operator.admin', 'operator.pairing'] })
      const node = await open(store, { role: 'node', scopes: [] })
      expect(await approve(store, request, by)).toEqual({
        outcome: 'approver-too-small',
        missing: ['operator.admin'],
      })
      expect(await store.rejectRequest(request.requestId, { by })).toMatchObject({
        outcome: 'approver-too-small',
      })
      expect(await approve(store, node, by)).toMatchObject({ outcome: 'approver-too-small' })
      expect(await store.findRequest(request.requestId)).toEqual(request)
      expect(await store.findDevice(request.deviceId)).toBeNull()
      const admin = await approver(store, 'operator.admin')
      expect(await approve(store, request, admin)).toMatchObject({ outcome: 'approved' })
      expect(await approve(store, node, admin)).toMatchObject({ outcome: 'approved' })
    })

    test('C4: claiming more than the record reaches, or acting after a revocation, gives nothing', async () => {
      const { store } = await startStore(openStore)
      const honest = await approver(store, 'operator.read')
      const request = await open(store, { scopes: ['operator.admin'] })
      const boasting = { ...honest, scopes: scopes('operator.admin') }
      expect(await approve(store, request, boasting)).toMatchObject({ outcome: 'approver-too-small' })
      const admin = await approver(store, 'operator.admin')
      await store.revokeDevice(admin.deviceId, WRITER)
      expect(await approve(store, request, admin)).toMatchObject({ outcome: 'approver-too-small' })
      const stranger = { ...admin, deviceId: createEphemeralIdentity().id }
      expect(await approve(store, request, stranger)).toMatchObject({ outcome: 'approver-too-small' })
      const bare = await open(store, { scopes: [] })
      expect(await approve(store, bare, admin)).toMatchObject({ outcome: 'approver-too-small' })
    })

    test('C4 H14: no role reaches into another, however few scopes it has; an administrator looks after roles that have none', async () => {
      const { store } = await startStore(openStore)
      const roles = { ...BUILT_IN_ROLES, reviewer: { 'reviewer.answer': [] } }
      await store.putSettings({ roles, ceiling: [] })
      const policy = { ...POLICY, roles: defineRoles(roles), ceiling: [] }
      const person = async (role: string, ...wished: string[]) => {
        const identity = createEphemeralIdentity()
        const wish = await open(store, { identity, role, scopes: wished, policy, origin: REMOTE })
        await approve(store, wish, WRITER.by)
        return { kind: 'device', deviceId: identity.id, role: wish.role, scopes: scopes(...wished) } as const
      }
      const admin = await person('operator', 'operator.admin')
      const node = await person('node')
      const reviewer = await person('reviewer', 'reviewer.answer')
      const reader = await person('operator', 'operator.read')
      const wish = await open(store, { scopes: ['operator.admin'], origin: REMOTE })
      const nodeWish = await open(store, { role: 'node', scopes: [], origin: REMOTE })
      const pretenders: Actor[] = [
        node,
        reviewer,
        { ...reader, role: 'node' as never, scopes: [] },
        { ...reader, role: 'nonsense' as never, scopes: [] },
        { ...node, role: 'operator' as never, scopes: scopes('operator.admin') },
      ]
      for (const by of pretenders) {
        expect(await approve(store, wish, by)).toMatchObject({ outcome: 'approver-too-small' })
        expect(await approve(store, nodeWish, by)).toMatchObject({ outcome: 'approver-too-small' })
        expect(await store.revokeDevice(admin.deviceId, { by })).toMatchObject({
          outcome: 'approver-too-small',
        })
        expect(await store.renameDevice(admin.deviceId, { by, name: 'x' })).toMatchObject({
          outcome: 'approver-too-small',
        })
      }
      await store.revokeDevice(reader.deviceId, WRITER)
      expect(await store.reinstateDevice(reader.deviceId, { by: reviewer })).toMatchObject({
        outcome: 'approver-too-small',
      })
      expect(await store.reinstateDevice(reader.deviceId, { by: admin })).toMatchObject({
        outcome: 'changed',
      })
      expect(await approve(store, nodeWish, admin)).toMatchObject({ outcome: 'approved' })
      expect(await approve(store, wish, admin)).toMatchObject({ outcome: 'approved' })
    })

    test('C4: a session under the ceiling does not make its own wish permanent', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token }))
      const request = await open(store, { identity })
      const by = {
        kind: 'device',
        deviceId: identity.id,
        role: request.role,
        scopes: request.scopes,
      } as const
      expect(await approve(store, request, by)).toMatchObject({ outcome: 'approver-too-small' })
      expect(await store.rejectRequest(request.requestId, { by })).toMatchObject({ outcome: 'rejected' })
    })

    test('C4: who approves is asked for at run time too', async () => {
      const { store } = await startStore(openStore)
      const { requestId, digest } = await open(store)
      const actors = [
        undefined,
        null,
        {},
        { kind: 'admin' },
        { kind: 'device', deviceId: 'x', role: 'operator', scopes: [] },
      ]
      for (const by of actors) {
        const options = { by: by as Actor, expectedDigest: digest }
        await expect(store.approveRequest(requestId, options)).rejects.toThrow(TypeError)
        await expect(store.rejectRequest(requestId, options)).rejects.toThrow(TypeError)
      }
      await expect(store.approveRequest(requestId, WRITER as never)).rejects.toThrow(TypeError)
      expect(await store.findRequest(requestId)).not.toBeNull()
    })

    test('M18: an approval adds the wish to the live grant, never to what was revoked', async () => {
      const { store } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const grant = async () => (await store.findDevice(identity.id))?.roles[0]?.grant
      await approve(store, await open(store, { identity, scopes: ['operator.admin'] }))
      await store.revokeDevice(identity.id, WRITER)
      await store.reinstateDevice(identity.id, WRITER)
      expect(await grant()).toBeNull()
      expect(await store.admit(attempt({ identity, origin: REMOTE }))).toMatchObject({ outcome: 'refused' })
      const [again] = (await store.listRequests()).items
      if (again === undefined) throw new Error('no request')
      await approve(store, again)
      expect(await grant()).toEqual(['operator.read'])
      await approve(store, await open(store, { identity, scopes: ['operator.talk'] }))
      expect(await grant()).toEqual(['operator.read', 'operator.talk'])
    })

    test('M18: a grant beside the ceiling leaves a trusted-local device trusted-local', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token }))
      const request = await open(store, { identity, scopes: ['operator.admin'] })
      expect(await approve(store, request)).toMatchObject({
        outcome: 'approved',
        device: { trust: 'trusted-local', roles: [{ grant: ['operator.admin'] }] },
      })
    })

    test('a rejected request is gone, once, and may be asked for again', async () => {
      const { store } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const request = await open(store, { identity })
      const heard = listen(store)
      expect(await store.rejectRequest(request.requestId, WRITER)).toEqual({ outcome: 'rejected', request })
      expect(await store.rejectRequest(request.requestId, WRITER)).toEqual({ outcome: 'unknown' })
      expect(heard).toMatchObject([{ kind: 'request-closed', outcome: 'rejected' }])
      await open(store, { identity })
    })

    test('revoking a device closes what it asked for', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token }))
      const request = await open(store, { identity, scopes: ['operator.admin'] })
      await store.revokeDevice(identity.id, WRITER)
      expect(await approve(store, request)).toEqual({ outcome: 'unknown' })
      expect(await store.findRequest(request.requestId)).toBeNull()
    })

    test('a page is bounded, and a cursor is one that a page gave', async () => {
      const { store } = await startStore(openStore)
      for (const limit of [0, 1_001, 1.5, Number.NaN]) {
        await expect(store.listRequests({ limit })).rejects.toThrow(TypeError)
        await expect(store.listDevices({ limit })).rejects.toThrow(TypeError)
      }
      for (const after of ['x', '1.', '1.__proto__']) {
        await expect(store.listRequests({ after })).rejects.toThrow(TypeError)
        await expect(store.listDevices({ after })).rejects.toThrow(TypeError)
      }
    })
  })
}
