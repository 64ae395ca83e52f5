import { createEphemeralIdentity, type DeviceId } from '@holdfast/identity'
import type { Actor, PairingStore } from '@holdfast/pairing-store'
import { describe, expect, test } from 'vitest'
import { attempt, scopes } from '../attempts.ts'
import { listen, type OpenStore, startStore, until, WRITER } from './open-store.ts'

const DELEGATION = 'AAAAAAAAAAAAAAAAAAAAAQ'
const HOLDER = createEphemeralIdentity().id

async function registered(store: PairingStore, token: string): Promise<DeviceId> {
  const identity = createEphemeralIdentity()
  await store.admit(attempt({ identity, token }))
  return identity.id
}

function acting(deviceId: DeviceId, ...held: string[]): Actor {
  return { kind: 'device', deviceId, role: 'operator' as never, scopes: scopes(...held) }
}

export function delegationContract(openStore: OpenStore): void {
  describe('revoked delegations', () => {
    test('one delegation, or a whole branch by the key of its holder, is revoked once, told of and audited', async () => {
      const { store, token, nowMs } = await startStore(openStore)
      const deviceId = await registered(store, token)
      const heard = listen(store)
      for (const [subject, kind] of [
        [DELEGATION, 'delegation'],
        [HOLDER, 'holder'],
      ] as const) {
        const revoked = { deviceId, subject, kind, revokedAtMs: nowMs() }
        const revoke = () => store.revokeDelegation(deviceId, { ...WRITER, subject })
        expect(await revoke()).toEqual({ outcome: 'revoked', revoked })
        expect(await revoke()).toEqual({ outcome: 'unchanged', revoked })
      }
      expect(heard).toMatchObject([
        { kind: 'delegation-revoked', deviceId, subject: DELEGATION },
        { kind: 'delegation-revoked', deviceId, subject: HOLDER },
      ])
      const kept = await store.listRevokedDelegations(deviceId)
      expect(kept.map(({ subject }) => subject).sort()).toEqual([DELEGATION, HOLDER].sort())
      const { items } = await store.listAudit({ act: 'delegation-revoked' })
      expect(items).toMatchObject([
        { by: 'store-writer', subject: DELEGATION, deviceId },
        { by: 'store-writer', subject: HOLDER, deviceId },
      ])
      expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact' })
    })

    test('it is of one device, and takes a known one and a whole id', async () => {
      const { store, token } = await startStore(openStore)
      const [one, other] = [await registered(store, token), await registered(store, token)]
      await store.revokeDelegation(one, { ...WRITER, subject: DELEGATION })
      expect(await store.listRevokedDelegations(other)).toEqual([])
      const revoke = (deviceId: DeviceId, subject: string) =>
        store.revokeDelegation(deviceId, { ...WRITER, subject })
      expect(await revoke(HOLDER, DELEGATION)).toEqual({ outcome: 'unknown' })
      for (const subject of ['', 'x', DELEGATION.slice(1), HOLDER.slice(1), HOLDER.toUpperCase()]) {
        expect(await revoke(one, subject)).toEqual({ outcome: 'subject-unknown' })
      }
    })

    test('a device revokes its own; those of another only who holds all that the other may have', async () => {
      const { store, token } = await startStore(openStore)
      const [one, other] = [await registered(store, token), await registered(store, token)]
      const revoke = (by: Actor) => store.revokeDelegation(one, { by, subject: DELEGATION })
      expect(await revoke(acting(other, 'operator.read'))).toMatchObject({ outcome: 'approver-too-small' })
      expect(await store.listRevokedDelegations(one)).toEqual([])
      expect(await revoke(acting(one, 'operator.read'))).toMatchObject({ outcome: 'revoked' })
    })

    test('another process hears of it, and a second store on the same place has it', async () => {
      const { store, place, token } = await startStore(openStore)
      const deviceId = await registered(store, token)
      const other = await openStore(place)
      const heard = listen(other)
      await store.revokeDelegation(deviceId, { ...WRITER, subject: HOLDER })
      await until(() => heard.some(change => change.kind === 'delegation-revoked'))
      expect(await other.listRevokedDelegations(deviceId)).toMatchObject([
        { subject: HOLDER, kind: 'holder' },
      ])
    })
  })
}
