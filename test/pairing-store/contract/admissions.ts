import { BUILT_IN_ROLES, type VerifiedProof } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { attempt, CEILING, newToken, POLICY, REMOTE } from '../attempts.ts'
import { listen, type OpenStore, startStore, WRITER } from './open-store.ts'

export function admissionContract(openStore: OpenStore): void {
  describe('admission', () => {
    test('F55: of 20 connects at once with the gateway token all are admitted and one record is made', async () => {
      const { store, token } = await startStore(openStore)
      const heard = listen(store)
      const identity = createEphemeralIdentity()
      const admissions = await Promise.all(
        Array.from({ length: 20 }, () => store.admit(attempt({ identity, token, name: 'agent' }))),
      )
      expect(admissions.map(each => each.outcome)).toEqual(Array(20).fill('admitted'))
      expect(admissions.filter(each => each.outcome === 'admitted' && each.registered)).toHaveLength(1)
      const { items } = await store.listDevices()
      expect(items).toMatchObject([
        {
          deviceId: identity.id,
          trust: 'trusted-local',
          registeredBy: 'local',
          name: 'agent',
          clientId: 'cli',
        },
      ])
      expect(heard.filter(each => each.kind === 'device-changed')).toHaveLength(1)
    })

    test('F55: a wrong token registers nothing and opens nothing', async () => {
      const { store } = await startStore(openStore)
      const wrong = { kind: 'wrong', presented: 'gateway-token' } as const
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => store.admit(attempt({ credential: wrong }))),
      )
      for (const each of answers)
        expect(each).toMatchObject({ refusal: { code: 'token-mismatch' }, opened: null })
      expect((await store.listDevices()).items).toEqual([])
      expect((await store.listRequests()).items).toEqual([])
    })

    test('a token of an older or an unknown generation registers nobody', async () => {
      const { store, token } = await startStore(openStore)
      await store.putGatewayToken(newToken())
      for (const shown of [token, newToken()]) {
        expect(await store.admit(attempt({ token: shown }))).toMatchObject({
          outcome: 'refused',
          refusal: { code: 'pairing-required', reason: 'not-paired' },
        })
      }
      expect((await store.listDevices()).items).toEqual([])
    })

    test('device tokens and join codes are refused as wrong, in the words of the field that carried them', async () => {
      const { store } = await startStore(openStore)
      const shown = { kind: 'device-token', token: 'hfd_x' } as const
      const code = async (credential: Parameters<typeof attempt>[0] extends infer W ? W : never) =>
        store.admit(attempt(credential)).then(each => (each.outcome === 'refused' ? each.refusal.code : null))
      expect(await code({ credential: { ...shown, via: 'token' } })).toBe('token-mismatch')
      expect(await code({ credential: { ...shown, via: 'deviceToken' } })).toBe('device-token-mismatch')
      expect(await code({ credential: { kind: 'join-code', code: 'x' } })).toBe('join-code-invalid')
    })

    test('a proof of the right shape that nobody verified is a mistake of the caller', async () => {
      const { store, token } = await startStore(openStore)
      const real = attempt({ token })
      if (real.proof.verdict !== 'verified') throw new Error('not verified')
      const forged = {
        ...real,
        proof: { verdict: 'verified', proof: { ...real.proof.proof } as VerifiedProof },
      } as const
      await expect(store.admit(forged)).rejects.toThrow(TypeError)
      await expect(store.review(forged)).rejects.toThrow(TypeError)
      expect((await store.listDevices()).items).toEqual([])
    })

    test('C1: a revoked key with a valid token is out until a person reinstates it', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const connect = () => store.admit(attempt({ identity, token }))
      await connect()
      expect(await store.revokeDevice(identity.id, { ...WRITER, keepRegistration: true })).toMatchObject({
        outcome: 'changed',
        device: { trust: 'revoked' },
      })
      for (let round = 0; round < 3; round += 1) {
        expect(await connect()).toMatchObject({
          refusal: { code: 'device-revoked' },
          decision: { rule: '8' },
        })
        await store.putGatewayToken(token)
        expect(await store.registerLocal({ identity, gatewayToken: token, role: 'operator' })).toMatchObject({
          outcome: 'refused',
          reason: 'device-revoked',
        })
      }
      expect((await store.listRequests()).items).toEqual([])
      expect(await store.reinstateDevice(identity.id, WRITER)).toMatchObject({
        outcome: 'changed',
        device: { trust: 'trusted-local' },
      })
      expect(await connect()).toMatchObject({ outcome: 'admitted', registered: false })
    })

    test('C1: the program whose device was revoked is not back with a new key, until the token is rotated', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token }))
      const bystander = createEphemeralIdentity()
      await store.admit(attempt({ identity: bystander, token }))
      await store.revokeDevice(identity.id, WRITER)
      expect(await store.findGatewayToken()).toMatchObject({ registers: false })
      expect(await store.admit(attempt({ token }))).toMatchObject({ refusal: { code: 'pairing-required' } })
      expect(await store.admit(attempt({ identity: bystander, token }))).toMatchObject({
        outcome: 'admitted',
      })
      // Neither a reinstatement nor showing the same token again opens it.
      await store.reinstateDevice(identity.id, WRITER)
      await store.putGatewayToken(token)
      expect(await store.admit(attempt({ token }))).toMatchObject({ outcome: 'refused' })
      const rotated = newToken()
      expect(await store.putGatewayToken(rotated)).toMatchObject({ registers: true })
      expect(await store.admit(attempt({ token: rotated }))).toMatchObject({ registered: true })
    })

    test('C1: keepRegistration leaves registration open', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token }))
      await store.revokeDevice(identity.id, { ...WRITER, keepRegistration: true })
      expect(await store.admit(attempt({ token }))).toMatchObject({ registered: true })
    })

    test('C2: inside the ceiling no request, outside one, and what was granted stays as it was', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const ask = (...scopes: string[]) => store.admit(attempt({ identity, token, scopes }))
      expect(await ask('operator.read')).toMatchObject({ outcome: 'admitted', registered: true })
      expect(await ask('operator.write', 'operator.approvals')).toMatchObject({ outcome: 'admitted' })
      expect((await store.listRequests()).items).toEqual([])
      const before = await store.findDevice(identity.id)
      expect(await ask('operator.admin')).toMatchObject({
        refusal: { code: 'pairing-required', missing: ['operator.admin'], reason: 'scope-upgrade' },
      })
      expect(await store.findDevice(identity.id)).toEqual(before)
      expect((await store.listRequests()).items).toHaveLength(1)
    })

    test('C2: a scope that the grant implies is no upgrade', async () => {
      const { store } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const ask = (...scopes: string[]) => store.admit(attempt({ identity, scopes, origin: REMOTE }))
      const first = await ask('operator.write')
      if (first.outcome !== 'refused' || first.opened === null) throw new Error('no request')
      await store.approveRequest(first.opened.requestId, { ...WRITER, expectedDigest: first.opened.digest })
      expect(await ask('operator.read', 'operator.talk')).toMatchObject({
        outcome: 'admitted',
        decision: { rule: '9' },
        scopes: ['operator.read', 'operator.talk'],
      })
      expect((await store.findDevice(identity.id))?.roles[0]?.grant).toEqual(['operator.write'])
    })

    test('an admission of a known device writes nothing and tells nobody', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token }))
      const before = await store.findDevice(identity.id)
      const heard = listen(store)
      for (let round = 0; round < 20; round += 1) await store.admit(attempt({ identity }))
      expect(heard).toEqual([])
      expect(await store.findDevice(identity.id)).toEqual(before)
    })

    test('a review goes by the device alone, and writes nothing', async () => {
      const { store, token } = await startStore(openStore)
      const connection = attempt({ token })
      const admission = await store.admit(connection)
      expect(await store.review(connection)).toMatchObject({ outcome: 'admitted', rule: '10' })
      await store.putGatewayToken(newToken())
      expect(await store.review(connection)).toMatchObject({ outcome: 'admitted' })
      if (admission.outcome !== 'admitted' || admission.deviceId === null) throw new Error('not admitted')
      await store.narrowDevice(admission.deviceId, { ...WRITER, role: 'operator', scopes: [] })
      expect(await store.review(connection)).toMatchObject({ outcome: 'ask' })
      await store.revokeDevice(admission.deviceId, WRITER)
      expect(await store.review(connection)).toMatchObject({ outcome: 'refused', rule: '8' })
      expect((await store.listRequests()).items).toEqual([])
      expect(await store.review(attempt())).toMatchObject({ outcome: 'ask' })
      expect((await store.listDevices()).items).toHaveLength(1)
    })

    test('a peer without a device lives by the gateway token as it is now', async () => {
      const { store, token } = await startStore(openStore)
      const policy = { ...POLICY, deviceless: CEILING }
      const peer = { ...attempt({ token, policy }), proof: { verdict: 'absent' } } as const
      expect(await store.admit(peer)).toMatchObject({
        outcome: 'admitted',
        deviceId: null,
        registered: false,
      })
      expect(await store.review(peer)).toMatchObject({ outcome: 'admitted', rule: '4' })
      await store.putGatewayToken(newToken())
      expect(await store.review(peer)).toMatchObject({ outcome: 'refused' })
      expect((await store.listDevices()).items).toEqual([])
    })

    test('putting the same gateway token twice is one generation and one change', async () => {
      const { store } = await startStore(openStore)
      const heard = listen(store)
      const token = newToken()
      const first = await store.putGatewayToken(token)
      expect(await store.putGatewayToken(token)).toEqual(first)
      expect(await store.findGatewayToken()).toEqual(first)
      expect(heard.map(each => each.kind)).toEqual(['gateway-token-changed'])
      expect(JSON.stringify(heard)).not.toContain(token)
      await expect(store.putGatewayToken('short')).rejects.toThrow(TypeError)
    })

    test('settings are those of the options until a gate writes its own', async () => {
      const roles = { worker: { 'worker.run': [] } }
      const store = await openStore('settings', { roles })
      expect(await store.getSettings()).toEqual({ roles, ceiling: null })
      const heard = listen(store)
      const written = { roles: BUILT_IN_ROLES, ceiling: ['operator.read'] }
      await store.putSettings(written)
      await store.putSettings(written)
      expect(await store.getSettings()).toEqual(written)
      expect(heard.map(each => each.kind)).toEqual(['settings-changed'])
      await expect(store.putSettings({ roles, ceiling: ['operator.read'] })).rejects.toThrow(TypeError)
    })

    test('an identity registered by a host is born trusted, once, and only with the token as it is', async () => {
      const { store, token } = await startStore(openStore)
      const identity = createEphemeralIdentity()
      const wish = { identity, role: 'operator', name: 'host' }
      expect(await store.registerLocal({ ...wish, gatewayToken: newToken() })).toEqual({
        outcome: 'refused',
        reason: 'token-mismatch',
      })
      expect(await store.registerLocal({ ...wish, gatewayToken: token, role: 'nobody' })).toEqual({
        outcome: 'refused',
        reason: 'role-unknown',
      })
      expect((await store.listDevices()).items).toEqual([])
      expect(await store.registerLocal({ ...wish, gatewayToken: token })).toMatchObject({
        outcome: 'registered',
        device: { deviceId: identity.id, trust: 'trusted-local', registeredBy: 'store-writer', name: 'host' },
      })
      expect(await store.registerLocal({ ...wish, gatewayToken: token })).toMatchObject({ outcome: 'known' })
      expect(await store.admit(attempt({ identity }))).toMatchObject({
        outcome: 'admitted',
        registered: false,
      })
    })

    test('a host registers nobody while local trust is off, nor after registration was closed', async () => {
      const { store, token } = await startStore(openStore)
      const local = { gatewayToken: token, role: 'operator' }
      const identity = createEphemeralIdentity()
      await store.registerLocal({ ...local, identity })
      await store.putSettings({ roles: BUILT_IN_ROLES, ceiling: null })
      const fresh = createEphemeralIdentity()
      expect(await store.registerLocal({ ...local, identity: fresh })).toMatchObject({
        reason: 'local-trust-off',
      })
      await store.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
      await store.revokeDevice(identity.id, WRITER)
      expect(await store.registerLocal({ ...local, identity: fresh })).toMatchObject({
        reason: 'registration-closed',
      })
      expect((await store.listDevices()).items).toHaveLength(1)
    })

    test('F76: an onboarding registers a host before any gate has started, and the gate then admits it unasked', async () => {
      const store = await openStore('before-any-gate')
      const token = newToken()
      await store.putGatewayToken(token)
      const identity = createEphemeralIdentity()
      expect(await store.registerLocal({ identity, gatewayToken: token, role: 'operator' })).toMatchObject({
        outcome: 'registered',
      })
      await store.close()
      const gates = await openStore('before-any-gate')
      await gates.putGatewayToken(token)
      await gates.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
      expect(await gates.admit(attempt({ identity }))).toMatchObject({
        outcome: 'admitted',
        registered: false,
      })
      expect(await gates.listRequests()).toMatchObject({ items: [] })
    })
  })
}
