import { randomUUID } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pairingMethods } from '@holdfast/gateway'
import { createEphemeralIdentity, type DeviceIdentity, formatPublicKey } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Attempt, attempt, type ConnectOptions, type RawFrame, type RawPeer } from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN } from './test-gate.ts'

const BY = { by: { kind: 'store-writer' } } as const

let directory: string
let store: PairingStore
let gate: TestGate
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-pairing-'))
  store = await openSqliteStore({ path: join(directory, 'store.sqlite') })
  const ceiling = ['operator.read', 'operator.write', 'operator.pairing']
  gate = await openTestGate({ store, methods: pairingMethods(store), trustedLocal: { ceiling } })
})
afterEach(async () => {
  await gate.close()
  await store.close()
  await rm(directory, { recursive: true, force: true })
})

type Answer = RawFrame & { readonly payload: RawFrame; readonly error: RawFrame }

let calls = 0
async function call(peer: RawPeer, method: string, params?: unknown): Promise<Answer> {
  const id = `c${calls++}`
  peer.send({ type: 'req', id, method, ...(params !== undefined && { params }) })
  for (;;) {
    const frame = await peer.next()
    if (frame['type'] === 'res' && frame['id'] === id) return frame as Answer
  }
}

async function connected(options: ConnectOptions): Promise<RawPeer> {
  const { hello, error, peer } = await attempt(gate.url, options)
  if (hello === null) throw new Error(JSON.stringify(error))
  return peer
}

const PAIRING = ['operator.pairing']

/** A peer that may look after pairing, and no more, by the gateway token. */
function pairer(identity = createEphemeralIdentity()): Promise<RawPeer> {
  return connected({ identity, token: TOKEN, scopes: PAIRING })
}

/** A device to which a person gave this. */
async function approved(scopes: readonly string[]): Promise<DeviceIdentity> {
  const identity = createEphemeralIdentity()
  const requestId = await asked(identity, scopes)
  const request = await store.findRequest(requestId)
  if (request === null) throw new Error('no request')
  await store.approveRequest(requestId, { ...BY, expectedDigest: request.digest })
  return identity
}

/** The request that a device opens by asking for more than it may have. */
async function asked(identity: DeviceIdentity, scopes: readonly string[]): Promise<string> {
  const { details } = await attempt(gate.url, { identity, token: TOKEN, scopes })
  const { requestId } = details
  if (typeof requestId !== 'string') throw new Error('no request')
  return requestId
}

async function admin(): Promise<RawPeer> {
  return connected({ identity: await approved(['operator.admin']), scopes: ['operator.admin'] })
}

describe('device.pair.list', () => {
  test('tells requests and devices in the words of OpenClaw, and no token', async () => {
    const identity = createEphemeralIdentity()
    const { hello } = await attempt(gate.url, { identity, token: TOKEN, client: { displayName: 'desk' } })
    const { deviceToken } = (hello as { auth: { deviceToken: string } }).auth
    const asking = createEphemeralIdentity()
    const requestId = await asked(asking, ['operator.admin'])
    const { payload } = await call(await pairer(), 'device.pair.list')
    expect(payload).toEqual({
      pending: [
        {
          requestId,
          deviceId: asking.id,
          publicKey: formatPublicKey(asking.publicKey),
          platform: 'linux',
          clientId: 'cli',
          role: 'operator',
          roles: ['operator'],
          scopes: ['operator.admin'],
          remoteIp: '127.0.0.1',
          silent: false,
          isRepair: false,
          ts: expect.any(Number),
          missing: ['operator.admin'],
          reason: 'not-paired',
          digest: expect.stringMatching(/^[0-9a-f]{64}$/),
          expiresAtMs: expect.any(Number),
        },
      ],
      paired: expect.arrayContaining([
        {
          deviceId: identity.id,
          publicKey: formatPublicKey(identity.publicKey),
          displayName: 'desk',
          platform: 'linux',
          clientId: 'cli',
          clientMode: 'cli',
          role: 'operator',
          roles: ['operator'],
          scopes: ['operator.pairing', 'operator.read', 'operator.write'],
          approvedScopes: [],
          tokens: [
            {
              role: 'operator',
              scopes: ['operator.pairing', 'operator.read', 'operator.write'],
              createdAtMs: expect.any(Number),
            },
          ],
          trust: 'trusted-local',
          approvedVia: 'silent',
          createdAtMs: expect.any(Number),
        },
      ]),
      next: null,
    })
    expect(deviceToken).toMatch(/^hfd_/)
    expect(JSON.stringify(payload)).not.toMatch(/hfd_/)
  })

  test('goes on page by page, and leaves tombstones out', async () => {
    const peer = await pairer()
    const gone = await approved(['operator.approvals'])
    const stays = await approved(['operator.approvals'])
    await store.revokeDevice(gone.id, BY)
    const seen: unknown[] = []
    let after: unknown
    do {
      const params = { limit: 1, ...(after !== undefined && { after }) }
      const { payload } = await call(peer, 'device.pair.list', params)
      seen.push(...(payload['paired'] as RawFrame[]).map(each => each['deviceId']))
      after = payload['next'] ?? undefined
    } while (after !== undefined)
    expect(seen).toHaveLength(2)
    expect(seen).toContain(stays.id)
  })

  test('is searched by how a name or an id begins, page by page', async () => {
    const peer = await pairer()
    const ids: string[] = []
    for (const displayName of ['Desk 1', 'desk 2', 'phone']) {
      const identity = createEphemeralIdentity()
      await connected({ identity, token: TOKEN, client: { displayName } })
      ids.push(identity.id)
    }
    const find = async (params: RawFrame) => (await call(peer, 'device.pair.list', params)).payload
    const paired = [{ deviceId: ids[0] }]
    const first = await find({ search: 'DESK', limit: 1 })
    expect(first).toMatchObject({ paired, next: expect.any(String) })
    const rest = await find({ search: 'DESK', limit: 1, after: first['next'] })
    expect(rest).toMatchObject({ paired: [{ deviceId: ids[1] }], next: null })
    expect(await find({ search: ids[2]?.slice(0, 20) })).toMatchObject({ paired: [{ deviceId: ids[2] }] })
    expect(await find({ search: '%' })).toMatchObject({ paired: [] })
    for (const params of [{ search: 1 }, { search: 'desk', after: 'x' }, { after: first['next'] }]) {
      expect(await call(peer, 'device.pair.list', params)).toMatchObject({
        ok: false,
        error: { code: 'INVALID_REQUEST' },
      })
    }
  })

  test('needs operator.pairing, or what implies it', async () => {
    const identity = createEphemeralIdentity()
    const reader = await connected({ identity, token: TOKEN, scopes: ['operator.write'] })
    for (const method of Object.keys(pairingMethods(store))) {
      expect(await call(reader, method, {})).toMatchObject({
        ok: false,
        error: { code: 'FORBIDDEN', message: 'missing scope: operator.pairing' },
      })
    }
    expect(await call(await admin(), 'device.pair.list', {})).toMatchObject({ ok: true })
  })
})

describe('device.pair.approve and reject', () => {
  test('whoever holds what is asked for gives it', async () => {
    const asking = createEphemeralIdentity()
    const requestId = await asked(asking, ['operator.admin'])
    expect(await call(await admin(), 'device.pair.approve', { requestId })).toMatchObject({
      ok: true,
      payload: {
        requestId,
        device: { deviceId: asking.id, trust: 'approved', approvedScopes: ['operator.admin'] },
      },
    })
    expect((await attempt(gate.url, { identity: asking, scopes: ['operator.admin'] })).hello).not.toBeNull()
  })

  test('C4: whoever does not is told what is missing, and the request stays; by a device’s own means just no', async () => {
    const requestId = await asked(createEphemeralIdentity(), ['operator.admin'])
    const identity = createEphemeralIdentity()
    const byToken = await pairer(identity)
    expect(await call(byToken, 'device.pair.approve', { requestId })).toMatchObject({
      ok: false,
      error: { message: 'missing scope: operator.admin', details: { missing: ['operator.admin'] } },
    })
    const byKey = await connected({ identity, scopes: PAIRING })
    expect(await call(byKey, 'device.pair.approve', { requestId })).toMatchObject({
      ok: false,
      error: { message: 'device pairing approval denied' },
    })
    expect(await call(byKey, 'device.pair.reject', { requestId })).toMatchObject({ ok: false })
    expect(await store.findRequest(requestId)).not.toBeNull()
  })

  test('C4: what counts is what the connection holds, and what its device has now', async () => {
    const requestId = await asked(createEphemeralIdentity(), ['operator.admin'])
    const identity = await approved(['operator.admin'])
    // An admin's device, connected for less.
    const small = await connected({ identity, scopes: PAIRING })
    expect(await call(small, 'device.pair.approve', { requestId })).toMatchObject({ ok: false })
    expect(await store.findRequest(requestId)).not.toBeNull()
  })

  test('C4: nobody grants their own wish, and everybody may withdraw it', async () => {
    const identity = createEphemeralIdentity()
    const peer = await pairer(identity)
    const requestId = await asked(identity, ['operator.admin'])
    expect(await call(peer, 'device.pair.approve', { requestId })).toMatchObject({
      error: { message: 'device pairing approval denied', details: { code: 'OWN_REQUEST' } },
    })
    expect(await call(peer, 'device.pair.reject', { requestId })).toMatchObject({
      ok: true,
      payload: { requestId, deviceId: identity.id },
    })
    expect(await store.findRequest(requestId)).toBeNull()
  })

  test('C6: who was shown a digest is held to it', async () => {
    const requestId = await asked(createEphemeralIdentity(), ['operator.admin'])
    const peer = await admin()
    const { payload } = await call(peer, 'device.pair.list')
    const [{ digest }] = payload['pending'] as [{ digest: string }]
    const expectedDigest = digest.replace(/^./, first => (first === '0' ? '1' : '0'))
    const answer = await call(peer, 'device.pair.approve', { requestId, expectedDigest })
    expect(answer).toMatchObject({ error: { details: { code: 'DIGEST_MISMATCH' } } })
    expect(await call(peer, 'device.pair.approve', { requestId, expectedDigest: digest })).toMatchObject({
      ok: true,
    })
  })

  test('F73, C5: a peer without a device answers what its fixed scopes cover, and does nothing else', async () => {
    const fixed = ['operator.pairing', 'operator.approvals']
    const open = await openTestGate({ store, methods: pairingMethods(store), deviceless: { scopes: fixed } })
    const wide = await asked(createEphemeralIdentity(), ['operator.admin'])
    const narrow = createEphemeralIdentity()
    const requestId = await asked(narrow, ['operator.approvals'])
    const { peer } = await attempt(open.url, { identity: null, token: TOKEN, scopes: ['operator.admin'] })
    expect(await call(peer, 'device.pair.list')).toMatchObject({ ok: true })
    for (const method of ['device.pair.approve', 'device.pair.reject']) {
      expect(await call(peer, method, { requestId: wide })).toMatchObject({
        error: { code: 'FORBIDDEN', message: 'missing scope: operator.admin' },
      })
    }
    expect(await call(peer, 'device.pair.approve', { requestId })).toMatchObject({ ok: true })
    expect((await store.findDevice(narrow.id))?.trust).toBe('approved')
    expect((await store.listRequests()).items.map(request => request.requestId)).toEqual([wide])
    const [entry] = (await store.listAudit({ act: 'request-approved' })).items
    expect(entry).toMatchObject({ by: 'deviceless', subject: requestId })
    const { id: deviceId } = narrow
    for (const [method, params] of Object.entries({
      'device.pair.remove': { deviceId },
      'device.token.rotate': { deviceId, role: 'operator' },
      'device.token.revoke': { deviceId, role: 'operator' },
    })) {
      expect(await call(peer, method, params)).toMatchObject({
        error: { code: 'FORBIDDEN', details: { code: 'DEVICE_REQUIRED' } },
      })
    }
    await open.close()
  })
})

describe('device.pair.remove', () => {
  test('revokes: the live connection ends with 4001, its tokens are dead, and it is not let in again', async () => {
    const identity = await approved(['operator.approvals'])
    const scopes = ['operator.approvals']
    const live = await connected({ identity, scopes })
    const peer = await admin()
    expect(await call(peer, 'device.pair.remove', { deviceId: identity.id })).toMatchObject({
      ok: true,
      payload: { deviceId: identity.id, removedAtMs: expect.any(Number) },
    })
    expect((await live.closed).code).toBe(4001)
    expect((await attempt(gate.url, { identity, scopes })).details['refusal']).toBe('device-revoked')
    expect(await call(peer, 'device.pair.remove', { deviceId: identity.id })).toMatchObject({ ok: true })
  })

  test('C4: takes what giving takes', async () => {
    const identity = await approved(['operator.admin'])
    const { error } = await call(await pairer(), 'device.pair.remove', { deviceId: identity.id })
    expect(error).toMatchObject({ message: 'missing scope: operator.admin' })
    expect((await store.findDevice(identity.id))?.trust).toBe('approved')
  })
})

describe('device tokens over the wire', () => {
  interface Hello {
    readonly auth: { readonly deviceToken?: string; readonly issuedAtMs?: number; readonly scopes: string[] }
  }
  const tokenIn = ({ hello }: Attempt) => (hello as unknown as Hello).auth.deviceToken

  const enter = (identity: DeviceIdentity, token: string | undefined, scopes = PAIRING) =>
    attempt(gate.url, { identity, scopes, ...(token !== undefined && { token }) })

  test('hello carries one for whoever shows the gateway token, once for each role, and for nobody else', async () => {
    const identity = createEphemeralIdentity()
    const first = await enter(identity, TOKEN)
    expect(tokenIn(first)).toMatch(/^hfd_/)
    expect((first.hello as unknown as Hello).auth).toMatchObject({
      role: 'operator',
      scopes: PAIRING,
      issuedAtMs: expect.any(Number),
    })
    for (const token of [TOKEN, undefined, tokenIn(first)]) {
      const again = await enter(identity, token)
      expect(again.hello).not.toBeNull()
      expect(tokenIn(again)).toBeUndefined()
    }
  })

  test.each(['v2', 'v3'] as const)('it is shown in either field, under proof %s', async version => {
    const identity = createEphemeralIdentity()
    const deviceToken = tokenIn(await enter(identity, TOKEN)) ?? ''
    const other = createEphemeralIdentity()
    for (const auth of [
      { deviceToken },
      { token: deviceToken },
      { token: deviceToken, deviceToken },
      // The retry of the official client: a gateway token that is wrong counts as none.
      { token: 'no-gateway-token-of-anybody', deviceToken },
    ]) {
      expect((await attempt(gate.url, { identity, auth, version })).hello).not.toBeNull()
      expect((await attempt(gate.url, { identity: other, auth, version })).error).not.toBeNull()
    }
  })

  test('a bad proof costs nobody a good token: what is told is the proof, and only beside a live token', async () => {
    const identity = createEphemeralIdentity()
    const deviceToken = tokenIn(await enter(identity, TOKEN)) ?? ''
    const forge = (token: string) =>
      attempt(gate.url, {
        identity,
        auth: { deviceToken: token },
        tamper: frame => ({ ...frame, params: { ...frame.params, scopes: ['operator.write'] } }),
      })
    expect((await forge(deviceToken)).details['code']).toBe('DEVICE_AUTH_SIGNATURE_INVALID')
    const dead = deviceToken.replace(/.$/, last => (last === 'A' ? 'B' : 'A'))
    expect((await forge(dead)).details['code']).toBe('AUTH_DEVICE_TOKEN_MISMATCH')
  })

  test('M4: no event, and nothing on the diagnostics channel, carries one', async () => {
    const heard: unknown[] = []
    const onMessage = (message: unknown) => void heard.push((message as { event: unknown }).event)
    subscribe('holdfast:gateway', onMessage)
    const identity = createEphemeralIdentity()
    await enter(identity, tokenIn(await enter(identity, TOKEN)))
    unsubscribe('holdfast:gateway', onMessage)
    expect(heard.length).toBeGreaterThan(1)
    expect(JSON.stringify([heard, gate.events])).not.toContain('hfd_')
  })

  test('a rotation is answered to the device itself, beside the old token, which goes on until the new one is used', async () => {
    const identity = createEphemeralIdentity()
    const old = tokenIn(await enter(identity, TOKEN))
    const { peer } = await enter(identity, old)
    const { payload } = await call(peer, 'device.token.rotate', { deviceId: identity.id, role: 'operator' })
    expect(payload).toEqual({
      deviceId: identity.id,
      role: 'operator',
      scopes: ['operator.pairing', 'operator.read', 'operator.write'],
      token: expect.stringMatching(/^hfd_/),
      rotatedAtMs: expect.any(Number),
      expiresAtMs: expect.any(Number),
    })
    expect((await enter(identity, old)).hello).not.toBeNull()
    expect((await enter(identity, payload['token'] as string)).hello).not.toBeNull()
    expect((await enter(identity, old)).hello).not.toBeNull()
  })

  test('who came by the gateway token is not told; the device is, at its next hello', async () => {
    const identity = createEphemeralIdentity()
    const first = await enter(identity, TOKEN)
    const answer = await call(first.peer, 'device.token.rotate', {
      deviceId: identity.id,
      role: 'operator',
    })
    expect(answer.payload).toEqual({
      deviceId: identity.id,
      role: 'operator',
      scopes: ['operator.pairing', 'operator.read', 'operator.write'],
      delivery: 'next-hello',
    })
    expect((await enter(identity, tokenIn(first))).hello).not.toBeNull()
    const next = tokenIn(await enter(identity, TOKEN))
    expect(next).toMatch(/^hfd_/)
    expect(next).not.toBe(tokenIn(first))
    expect((await enter(identity, next)).hello).not.toBeNull()
  })

  test('nobody is shown the token of another, however much they hold', async () => {
    const identity = createEphemeralIdentity()
    const first = await enter(identity, TOKEN)
    const { payload } = await call(await admin(), 'device.token.rotate', {
      deviceId: identity.id,
      role: 'operator',
    })
    expect(payload).not.toHaveProperty('token')
    expect((await enter(identity, tokenIn(first))).hello).not.toBeNull()
  })

  test('C5: rotating an admin’s token, and widening one’s own, are denied; the old ones live', async () => {
    const chief = await approved(['operator.admin'])
    const chiefs = tokenIn(await enter(chief, TOKEN, ['operator.admin']))
    const identity = createEphemeralIdentity()
    const own = tokenIn(await enter(identity, TOKEN))
    for (const { peer } of [await enter(identity, TOKEN), await enter(identity, own)]) {
      for (const params of [
        { deviceId: chief.id, role: 'operator' },
        { deviceId: identity.id, role: 'operator', scopes: ['operator.admin'] },
        { deviceId: identity.id, role: 'operator', scopes: ['operator.read'] },
        { deviceId: identity.id, role: 'operator', scopes: ['operator.nothing'] },
        { deviceId: identity.id, role: 'king' },
      ]) {
        expect(await call(peer, 'device.token.rotate', params)).toMatchObject({
          ok: false,
          error: { code: 'FORBIDDEN', message: 'device token rotation denied' },
        })
      }
      expect(await call(peer, 'device.token.revoke', { deviceId: chief.id, role: 'operator' })).toMatchObject(
        { ok: false, error: { message: 'device token revocation denied' } },
      )
    }
    expect((await enter(chief, chiefs, ['operator.admin'])).hello).not.toBeNull()
    expect((await enter(identity, own)).hello).not.toBeNull()
  })

  test('a revoked one is dead at once, the device is not, and the gateway token brings another', async () => {
    const identity = createEphemeralIdentity()
    const token = tokenIn(await enter(identity, TOKEN))
    const { peer } = await enter(identity, token)
    const params = { deviceId: identity.id, role: 'operator' }
    expect(await call(peer, 'device.token.revoke', params)).toMatchObject({
      payload: { ...params, revokedAtMs: expect.any(Number) },
    })
    expect(await call(peer, 'device.token.revoke', params)).toMatchObject({
      error: { details: { code: 'TOKEN_ABSENT' } },
    })
    expect((await attempt(gate.url, { identity, auth: { deviceToken: token ?? '' } })).details).toMatchObject(
      { code: 'AUTH_DEVICE_TOKEN_MISMATCH', rule: '3' },
    )
    expect((await enter(identity, undefined)).hello).not.toBeNull()
    expect(tokenIn(await enter(identity, TOKEN))).toMatch(/^hfd_/)
  })
})

describe('what no call takes', () => {
  const STRANGERS = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'x', 'f'.repeat(64)]

  test.each([...STRANGERS, 'F'.repeat(64), 1, null, {}, ['x'], 'y'.repeat(10_000)])(
    'H7: the id %j is unknown, to every method, and never a success',
    async id => {
      const peer = await admin()
      const unknown = { ok: false, error: { code: 'INVALID_REQUEST', details: { code: 'ID_UNKNOWN' } } }
      for (const method of ['device.pair.approve', 'device.pair.reject']) {
        expect(await call(peer, method, { requestId: id })).toMatchObject(unknown)
      }
      expect(await call(peer, 'device.pair.remove', { deviceId: id })).toMatchObject(unknown)
      for (const method of ['device.token.rotate', 'device.token.revoke']) {
        expect(await call(peer, method, { deviceId: id, role: 'operator' })).toMatchObject(unknown)
      }
    },
  )

  test('H7: fields that no method knows are refused, also those that every object has', async () => {
    const peer = await admin()
    const requestId = randomUUID()
    for (const raw of [
      `{"requestId":"${requestId}","__proto__":{"by":"store-writer"}}`,
      `{"requestId":"${requestId}","by":{"kind":"store-writer"}}`,
      '[]',
      '"x"',
      'true',
    ]) {
      const id = `raw${calls++}`
      peer.send(`{"type":"req","id":"${id}","method":"device.pair.approve","params":${raw}}`)
      expect(await peer.next()).toMatchObject({
        id,
        ok: false,
        error: { code: 'INVALID_REQUEST', details: { code: 'PARAMS_INVALID' } },
      })
    }
    for (const params of [{ limit: 0 }, { limit: 1.5 }, { limit: '9' }, { after: 'x' }, { after: 1 }]) {
      expect(await call(peer, 'device.pair.list', params)).toMatchObject({
        error: { details: { code: 'PARAMS_INVALID' } },
      })
    }
    expect(({} as Record<string, unknown>)['by']).toBeUndefined()
  })
})
