import { delegate } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { connectToGateway, type GatewayConnection, isSpawnerError } from '@holdfast/spawner'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ManualClock } from '../gateway/manual-clock.ts'
import { CEILING, type Install, startInstall } from './gateway.ts'

interface Given {
  readonly identity: DeviceIdentity
  readonly chain: readonly string[]
}

type Step = Partial<Parameters<typeof delegate>[0]>

/** A right for a new key, given by the device, or by whom has one already. */
function given(install: Install, step: Step = {}, giver?: Given): Given {
  const identity = createEphemeralIdentity()
  const chain = delegate({
    issuer: giver?.identity ?? install.identity,
    chain: giver?.chain ?? [],
    holder: identity.publicKey,
    gatewayId: install.gateway.gatewayId,
    role: 'operator',
    scopes: ['operator.read'],
    nowMs: Date.now(),
    ttlMs: 60_000,
    ...step,
  })
  return { identity, chain }
}

async function connected(
  install: Install,
  delegation: Given,
  scopes = ['operator.read'],
): Promise<GatewayConnection> {
  const { url, gatewayId } = install.gateway
  const connection = await connectToGateway({
    delegation,
    url,
    gatewayId,
    role: 'operator',
    scopes,
    reconnect: false,
  })
  onTestFinished(async () => void (await connection.close()))
  return connection
}

/** For a refusal that could pass by waiting: it is told at once. */
function connectAtOnce(install: Install, delegation: Given): Promise<unknown> {
  const { url, gatewayId } = install.gateway
  const wish = { role: 'operator', scopes: ['operator.read'] }
  return connectToGateway({ delegation, url, gatewayId, ...wish, connectTimeoutMs: 0 })
}

async function refusalOf(connecting: Promise<unknown>): Promise<Record<string, unknown>> {
  const error = await connecting.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!isSpawnerError(error, 'ADMISSION_REFUSED')) throw error
  const { refusal, flaw, missing, rule } = error.detail
  return { refusal, flaw, missing, rule }
}

describe('a delegated connection', () => {
  test('says whose child it is, to which depth and until when, and is admitted by rule 11', async () => {
    const install = await startInstall()
    const child = given(install, { depth: 1, scopes: ['operator.write'] })
    const grandchild = given(install, { scopes: ['operator.read'] }, child)
    await connected(install, grandchild)
    const [connection] = install.gateway.gate.connections()
    expect(connection).toMatchObject({
      deviceId: install.identity.id,
      rule: '11',
      credential: 'delegation',
      scopes: ['operator.read'],
      delegation: {
        holderId: grandchild.identity.id,
        depth: 2,
        path: [{ holderId: child.identity.id, scopes: ['operator.write'] }, { scopes: ['operator.read'] }],
      },
    })
    expect(install.events.filter(({ event }) => event === 'admitted').at(-1)).toMatchObject({
      deviceId: install.identity.id,
      delegation: { holderId: grandchild.identity.id, depth: 2 },
    })
  })

  test('has no more than its device has now, and never a request or a registration', async () => {
    const install = await startInstall()
    const { identity, store } = install
    const child = given(install, { scopes: ['operator.read', 'operator.write'] })
    await store.narrowDevice(identity.id, {
      by: { kind: 'store-writer' },
      role: 'operator',
      scopes: ['operator.read'],
    })
    expect(await refusalOf(connected(install, child, ['operator.write']))).toMatchObject({
      refusal: 'delegation-insufficient',
      flaw: 'device-insufficient',
      missing: ['operator.write'],
      rule: '11',
    })
    await connected(install, child, ['operator.read'])
    const stranger = { ...install, identity: createEphemeralIdentity() }
    expect(await refusalOf(connected(install, given(stranger)))).toMatchObject({ flaw: 'root-unknown' })
    expect((await store.listRequests()).items).toEqual([])
    expect((await store.listDevices()).items.length).toBe(1)
  })

  test('replayed to another gateway, expired, or given to another key: each is refused by its own reason', async () => {
    const install = await startInstall()
    const other = createEphemeralIdentity().id
    const elsewhere = given(install, { gatewayId: other })
    expect(await refusalOf(connected(install, elsewhere))).toMatchObject({ flaw: 'audience-mismatch' })
    const over = given(install, { nowMs: Date.now() - 120_000, ttlMs: 60_000 })
    expect(await refusalOf(connected(install, over))).toMatchObject({ flaw: 'expired' })
    const stolen = { identity: createEphemeralIdentity(), chain: given(install).chain }
    expect(await refusalOf(connected(install, stolen))).toMatchObject({ flaw: 'holder-mismatch' })
  })

  test('can do nothing that outlives it, whatever its scopes; its device can', async () => {
    const install = await startInstall({ trustedLocal: { ceiling: [...CEILING, 'operator.admin'] } })
    const { directory, identity } = install
    const connection = await connected(install, given(install, { scopes: ['operator.admin'] }), [
      'operator.admin',
    ])
    const acts: readonly (readonly [string, object])[] = [
      ['device.pair.approve', { requestId: 'x' }],
      ['device.pair.reject', { requestId: 'x' }],
      ['device.pair.remove', { deviceId: identity.id }],
      ['device.token.rotate', { deviceId: identity.id, role: 'operator' }],
      ['device.token.revoke', { deviceId: identity.id, role: 'operator' }],
    ]
    for (const [method, params] of acts) {
      await expect(connection.call(method, params), method).rejects.toMatchObject({
        detail: { code: 'FORBIDDEN', details: { code: 'DELEGATED' } },
      })
    }
    expect(await connection.call('device.pair.list')).toMatchObject({ paired: [{ deviceId: identity.id }] })
    // Negative control: the same act of the device itself is looked into.
    const device = await connectToGateway({
      directory,
      identity,
      role: 'operator',
      scopes: ['operator.admin'],
    })
    await expect(device.call('device.pair.approve', { requestId: 'x' })).rejects.toMatchObject({
      detail: { details: { code: 'ID_UNKNOWN' } },
    })
    await device.close()
  })

  test('makes the calls that its delegation names, and no others', async () => {
    const install = await startInstall()
    const child = given(install, { caveats: { calls: ['health'] } })
    const connection = await connected(install, child)
    await connection.call('health')
    await expect(connection.call('device.pair.list')).rejects.toMatchObject({
      detail: { details: { code: 'CALL_NOT_DELEGATED', calls: ['health'] } },
    })
  })

  test('is one of so many connections, and of so many children, as its links allow', async () => {
    const install = await startInstall()
    const parent = given(install, { depth: 1, caveats: { children: 1, connections: 2 } })
    const [one, two] = [given(install, {}, parent), given(install, {}, parent)]
    await connected(install, one)
    const full = await refusalOf(connectAtOnce(install, two))
    expect(full).toMatchObject({ refusal: 'delegation-full', rule: '11' })
    const second = await connected(install, one)
    expect(await refusalOf(connectAtOnce(install, parent))).toMatchObject({ refusal: 'delegation-full' })
    await second.close()
    await connected(install, parent)
  })
})

describe('the end of a delegated connection', () => {
  test.each(['device', 'one delegation', 'a branch'])(
    'revoking %s cuts every descendant, and nobody else',
    async what => {
      const install = await startInstall()
      const { store, identity } = install
      const by = { kind: 'store-writer' } as const
      const child = given(install, { depth: 2, scopes: ['operator.write'] })
      const grandchild = given(install, { depth: 1 }, child)
      const below = [child, grandchild, given(install, {}, grandchild)]
      const sibling = await connected(install, given(install))
      const connections = await Promise.all(below.map(each => connected(install, each)))
      const [first] = install.gateway.gate
        .connections()
        .flatMap(({ delegation }) =>
          delegation?.path.length === 1 && delegation.holderId === child.identity.id ? delegation.path : [],
        )
      const subject = what === 'a branch' ? child.identity.id : (first?.delegationId ?? '')
      if (what === 'device') await store.revokeDevice(identity.id, { by })
      else await store.revokeDelegation(identity.id, { by, subject })
      const reason = what === 'device' ? 'device revoked' : 'delegation revoked'
      for (const connection of connections)
        expect(await connection.closed).toMatchObject({ code: 4001, reason })
      if (what === 'device') expect(await sibling.closed).toMatchObject({ code: 4001 })
      else await sibling.call('health')
      const again = await refusalOf(connected(install, grandchild))
      expect(again).toMatchObject(what === 'device' ? { refusal: 'device-revoked' } : { flaw: 'revoked' })
    },
  )

  test('a warning comes before its time is over, and then the end, which a renewal puts off', async () => {
    const clock = new ManualClock()
    const install = await startInstall({ clock })
    const nowMs = clock.nowMs()
    const [kept, left] = [given(install, { nowMs }), given(install, { nowMs })]
    const [keeping, leaving] = [await connected(install, kept), await connected(install, left)]
    const warned = new Promise(resolve => leaving.on('delegation.expiring', resolve))
    const chain = delegate({
      issuer: install.identity,
      holder: kept.identity.publicKey,
      gatewayId: install.gateway.gatewayId,
      role: 'operator',
      scopes: ['operator.read'],
      nowMs: nowMs + 30_000,
      ttlMs: 60_000,
    })
    clock.advance(30_000)
    expect(await keeping.call('delegation.renew', { chain })).toEqual({ expiresAtMs: nowMs + 90_000 })
    clock.advance(20_000)
    expect(await warned).toEqual({ expiresAtMs: nowMs + 60_000 })
    await leaving.call('health')
    clock.advance(10_000)
    expect(await leaving.closed).toMatchObject({ code: 1012, reason: 'delegation expired' })
    await keeping.call('health')
    const events = install.events.map(({ event }) => event)
    expect(events).toContain('delegation-expiring')
  })

  test('a renewal for another key, of another device, or with less than the connection has, is none', async () => {
    const install = await startInstall()
    const child = given(install, { scopes: ['operator.read', 'operator.talk'] })
    const connection = await connected(install, child, ['operator.talk'])
    const renew = (chain: readonly string[]) => connection.call('delegation.renew', { chain })
    const made = {
      issuer: install.identity,
      holder: child.identity.publicKey,
      gatewayId: install.gateway.gatewayId,
    }
    const right = { role: 'operator', nowMs: Date.now(), ttlMs: 60_000 }
    const refused = (flaw: string) => ({ detail: { details: { code: 'DELEGATION_INSUFFICIENT', flaw } } })
    await expect(renew(given(install).chain)).rejects.toMatchObject(refused('holder-mismatch'))
    await expect(renew(delegate({ ...made, ...right, scopes: [] }))).rejects.toMatchObject(
      refused('scopes-missing'),
    )
    const foreign = delegate({
      ...made,
      ...right,
      scopes: ['operator.talk'],
      issuer: createEphemeralIdentity(),
    })
    await expect(renew(foreign)).rejects.toMatchObject({ detail: { details: { refusal: 'device-differs' } } })
    await connection.call('health')
  })

  test('narrowing the device cuts the child that has more than is left', async () => {
    const install = await startInstall()
    const { store, identity } = install
    const more = await connected(install, given(install, { scopes: ['operator.write'] }), ['operator.write'])
    const less = await connected(install, given(install))
    await store.narrowDevice(identity.id, {
      by: { kind: 'store-writer' },
      role: 'operator',
      scopes: ['operator.read'],
    })
    expect(await more.closed).toMatchObject({ code: 4001 })
    await less.call('health')
  })
})
