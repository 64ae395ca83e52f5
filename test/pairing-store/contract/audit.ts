import { createEphemeralIdentity } from '@holdfast/identity'
import type { Actor, AuditAct, AuditEntry, PairingStore } from '@holdfast/pairing-store'
import { describe, expect, test } from 'vitest'
import { attempt, newToken, REMOTE, scopes } from '../attempts.ts'
import { type OpenStore, startStore, WRITER } from './open-store.ts'

async function acts(store: PairingStore): Promise<AuditAct[]> {
  return (await store.listAudit({ limit: 1_000 })).items.map(each => each.act)
}

async function lastEntry(store: PairingStore): Promise<AuditEntry> {
  const [entry] = (await store.listAudit({ order: 'newest', limit: 1 })).items
  if (entry === undefined) throw new Error('an empty log')
  return entry
}

/** A request for everything, and the approval of it. */
async function approved(store: PairingStore, scope = 'operator.admin') {
  const identity = createEphemeralIdentity()
  const answer = await store.admit(attempt({ identity, origin: REMOTE, scopes: [scope] }))
  if (answer.outcome !== 'refused' || answer.opened === null) throw new Error('no request')
  const { requestId, digest } = answer.opened
  await store.approveRequest(requestId, { ...WRITER, expectedDigest: digest })
  return { identity, requestId, digest }
}

export function auditContract(openStore: OpenStore): void {
  describe('the audit log', () => {
    test('says who did what, from what to what, by which rule and on which digest', async () => {
      const { store, token, nowMs } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token, name: 'worker' }))
      expect(await lastEntry(store)).toMatchObject({
        sequence: 3,
        atMs: nowMs(),
        by: identity.id,
        act: 'device-registered',
        deviceId: identity.id,
        role: 'operator',
        rule: '10',
        digest: null,
        from: null,
        to: { trust: 'trusted-local', name: 'worker', source: '127.0.0.1' },
      })
      const { identity: boss, requestId, digest } = await approved(store)
      expect(await lastEntry(store)).toMatchObject({
        by: 'store-writer',
        act: 'request-approved',
        subject: requestId,
        deviceId: boss.id,
        digest,
        rule: null,
        from: null,
        to: { trust: 'approved', roles: { operator: { grant: ['operator.admin'] } } },
      })
      const by: Actor = {
        kind: 'device',
        deviceId: boss.id,
        role: 'operator' as never,
        scopes: scopes('operator.admin'),
      }
      await store.narrowDevice(identity.id, { by, role: 'operator', scopes: ['operator.read'] })
      expect(await lastEntry(store)).toMatchObject({
        by: boss.id,
        act: 'device-narrowed',
        subject: identity.id,
        from: { roles: { operator: { narrowedTo: null } } },
        to: { roles: { operator: { narrowedTo: ['operator.read'] } } },
      })
      await store.revokeDevice(identity.id, { by })
      expect(await acts(store)).toEqual([
        'gateway-token-recorded',
        'settings-written',
        'device-registered',
        'request-approved',
        'device-narrowed',
        'registration-closed',
        'device-revoked',
      ])
    })

    test('has an entry for every change of trust, and none for what changed nothing', async () => {
      const { store, token } = await startStore(openStore)
      const { identity } = await approved(store)
      const { id } = identity
      const role = 'operator'
      const host = createEphemeralIdentity()
      const changes: readonly (readonly [AuditAct, () => Promise<unknown>])[] = [
        ['device-registered', () => store.registerLocal({ identity: host, gatewayToken: token, role })],
        ['device-renamed', () => store.renameDevice(id, { ...WRITER, name: 'boss' })],
        ['token-issued', () => store.issueDeviceToken(id, { ...WRITER, role })],
        ['token-promised', () => store.rotateDeviceToken(id, { ...WRITER, role, delivery: 'hello' })],
        ['token-revoked', () => store.revokeDeviceToken(id, { ...WRITER, role })],
        ['device-narrowed', () => store.narrowDevice(id, { ...WRITER, role, scopes: ['operator.read'] })],
        ['device-revoked', () => store.revokeDevice(id, { ...WRITER, role })],
        ['device-reinstated', () => store.reinstateDevice(id, WRITER)],
        ['gateway-token-recorded', () => store.putGatewayToken(newToken())],
      ]
      for (const [act, change] of changes) {
        const { sequence } = await store.findAuditHead()
        await change()
        expect([(await lastEntry(store)).act, (await store.findAuditHead()).sequence]).toEqual([
          act,
          sequence + 1,
        ])
      }
      const { sequence } = await store.findAuditHead()
      await store.renameDevice(id, { ...WRITER, name: 'boss' })
      await store.reinstateDevice(id, WRITER)
      await store.revokeDevice('00'.repeat(32) as never, WRITER)
      await store.admit(attempt({ origin: REMOTE }))
      await store.admit(
        attempt({ token: 'wrong', credential: { kind: 'wrong', presented: 'gateway-token' } }),
      )
      expect((await store.findAuditHead()).sequence).toBe(sequence)
    })

    test('a token’s first use, its rotation and a refused request are in it; no token is', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const first = await store.admit(attempt({ identity, token, handsOutToken: true }))
      const answer = await store.rotateDeviceToken(identity.id, { ...WRITER, role: 'operator' })
      if (answer.outcome !== 'rotated' || first.outcome !== 'admitted') throw new Error(answer.outcome)
      await store.admit(attempt({ identity, deviceToken: answer.issued.token }))
      const asked = await store.admit(attempt({ origin: REMOTE }))
      if (asked.outcome !== 'refused' || asked.opened === null) throw new Error('no request')
      await store.rejectRequest(asked.opened.requestId, WRITER)
      expect((await acts(store)).slice(2)).toEqual([
        'device-registered',
        'token-issued',
        'token-rotated',
        'token-promoted',
        'request-rejected',
      ])
      const text = JSON.stringify((await store.listAudit()).items)
      for (const secret of [token, first.deviceToken?.token ?? '', answer.issued.token]) {
        expect(secret.length).toBeGreaterThan(20)
        expect(text).not.toContain(secret)
      }
    })

    test('is listed in pages, from either end, by device, actor, act and time', async () => {
      const { store, token, passMs, nowMs } = await startStore(openStore)
      const startMs = nowMs()
      const devices = Array.from({ length: 5 }, () => createEphemeralIdentity())
      for (const identity of devices) {
        passMs(1_000)
        await store.admit(attempt({ identity, token }))
      }
      const [first, second] = devices
      const first2 = await store.listAudit({ limit: 2 })
      expect(first2.items.map(each => each.sequence)).toEqual([1, 2])
      const rest = await store.listAudit({
        limit: 1_000,
        ...(first2.next !== null && { after: first2.next }),
      })
      expect(rest.items.map(each => each.sequence)).toEqual([3, 4, 5, 6, 7])
      expect(rest.next).toBeNull()
      const newest = await store.listAudit({ order: 'newest', limit: 3 })
      expect(newest.items.map(each => each.sequence)).toEqual([7, 6, 5])
      const older = await store.listAudit({
        order: 'newest',
        ...(newest.next !== null && { after: newest.next }),
      })
      expect(older.items.map(each => each.sequence)).toEqual([4, 3, 2, 1])
      const found = async (query: Parameters<PairingStore['listAudit']>[0]) =>
        (await store.listAudit(query)).items.map(each => each.sequence)
      expect(await found({ deviceId: first?.id ?? '' })).toEqual([3])
      expect(await found({ by: second?.id ?? '' })).toEqual([4])
      expect(await found({ by: 'store-writer' })).toEqual([1, 2])
      expect(
        await found({ act: 'device-registered', sinceMs: startMs + 2_000, untilMs: startMs + 4_000 }),
      ).toEqual([4, 5])
      expect(await found({ act: 'device-revoked' })).toEqual([])
      await expect(store.listAudit({ after: 'x' })).rejects.toBeInstanceOf(TypeError)
      await expect(store.listAudit({ limit: 0 })).rejects.toBeInstanceOf(TypeError)
    })

    test('is intact after any number of changes by several writers, and goes on from any head that was seen', async () => {
      const { store, place, token, nowMs } = await startStore(openStore)
      const other = await openStore(place, { clock: nowMs })
      const seen = [await store.findAuditHead()]
      for (let round = 0; round < 10; round += 1) {
        await Promise.all([
          store.admit(attempt({ token })),
          other.admit(attempt({ token })),
          other.admit(attempt({ token })),
        ])
        seen.push(await other.findAuditHead())
      }
      const head = seen.at(-1)
      expect(head?.sequence).toBe(2 + 30)
      for (const expectedHead of seen) {
        expect(await store.verifyAudit({ expectedHead })).toEqual({ outcome: 'intact', head, unaudited: 0 })
        await store.requireAuditHead(expectedHead)
      }
    })

    test('a head of another store, of another history or from further on is refused', async () => {
      const { store } = await startStore(openStore)
      const { store: another } = await startStore(openStore)
      const head = await store.findAuditHead()
      const cases = [
        [await another.findAuditHead(), 'another-store'],
        [{ ...head, sequence: head.sequence + 1 }, 'behind'],
        [{ ...head, hash: '00'.repeat(32) }, 'another-history'],
        [{ ...head, sequence: head.sequence - 1 }, 'another-history'],
        [{ ...head, sequence: 0 }, 'another-history'],
      ] as const
      for (const [expectedHead, reason] of cases) {
        expect((await store.verifyAudit({ expectedHead })).outcome).toBe('broken')
        await expect(store.requireAuditHead(expectedHead)).rejects.toMatchObject({
          code: 'STORE_ROLLED_BACK',
          detail: {
            reason,
            expected: expectedHead.sequence,
            found: reason === 'another-store' ? 2 : head.sequence,
          },
        })
      }
    })
  })
}
