import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type GateEvent, type RunningGateway, startGateway } from '@holdfast/gateway'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { replacePrivateFile } from '@holdfast/identity/state'
import { openSqliteStore } from '@holdfast/pairing-store'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { holdfastJson, startGatewayProcess } from '../cli/holdfast.ts'
import { ManualClock } from './manual-clock.ts'
import { type OfficialHost, type OfficialRun, officialHost, runOfficial } from './official-client.ts'
import { until } from './test-gate.ts'

const BY = { by: { kind: 'store-writer' } } as const
const CEILING = ['operator.read', 'operator.write', 'operator.pairing']
const WRONG = 'a-gateway-token-that-was-rotated-away'

let directory: string
let identity: DeviceIdentity
let host: OfficialHost
let gateway: RunningGateway | null
let events: GateEvent[]
beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'holdfast-official-')), 'state')
  identity = createEphemeralIdentity()
  host = officialHost(identity)
  gateway = null
  events = []
})
afterEach(async () => {
  await gateway?.close()
  // A gateway that is a process of its own ends after this.
  await rm(join(directory, '..'), { recursive: true, force: true, maxRetries: 20 })
})

async function start(
  ceiling: readonly string[] = CEILING,
  options: Partial<Parameters<typeof startGateway>[0]> = {},
): Promise<RunningGateway> {
  gateway = await startGateway({ directory, trustedLocal: { ceiling }, ...options })
  gateway.onEvent(event => events.push(event))
  return gateway
}

const randomToken = () => randomBytes(32).toString('base64url')
const gatewayToken = () => readFileSync(join(directory, 'gateway-token', 'token'), 'utf8').trim()

type Options = Omit<Parameters<typeof runOfficial>[1], 'url'>

function run(options: Options, of: OfficialHost = host): OfficialRun {
  if (gateway === null) throw new Error('no gateway')
  return runOfficial(of, { url: gateway.url, ...options })
}

/** Started, let in, stopped. */
async function enter(options: Options): Promise<Record<string, unknown>> {
  const { client, next } = run(options)
  const { hello } = await next('hello')
  await client.stopAndWait()
  return hello as never
}

/** How many `connect` calls the gate has answered. */
const answered = () => events.filter(({ event }) => event === 'admitted' || event === 'refused').length
const credentials = () => gateway?.gate.connections().map(({ credential }) => credential)

/** A client that was handed a token and has it. */
async function withToken(): Promise<string> {
  await enter({ token: gatewayToken(), scopes: ['operator.read'] })
  if (host.token === null) throw new Error('no token was kept')
  return host.token
}

describe('the official client', () => {
  test('asks for read, then write, then admin with one key under a ceiling of admin: three times yes, one device, no request', async () => {
    const { store } = await start(['operator.admin'])
    for (const scope of ['operator.read', 'operator.write', 'operator.admin']) {
      expect(await enter({ token: gatewayToken(), scopes: [scope] })).toMatchObject({
        auth: { role: 'operator', scopes: [scope] },
      })
    }
    const devices = (await store.listDevices()).items
    expect(devices.map(({ deviceId }) => deviceId)).toEqual([identity.id])
    expect((await store.listRequests()).items).toEqual([])
    expect(events.filter(({ event }) => event === 'refused' || event === 'request')).toEqual([])
  })

  test.each([
    [{}, 4],
    [{ minProtocol: 3, maxProtocol: 4 }, 4],
    [{ minProtocol: 3, maxProtocol: 3 }, 3],
    [{ minProtocol: 1, maxProtocol: 9 }, 4],
  ])('speaks %j, and protocol %i it is', async (range, protocol) => {
    await start()
    const hello = await enter({ token: gatewayToken(), scopes: ['operator.read'], ...range })
    expect(hello).toMatchObject({
      type: 'hello-ok',
      protocol,
      server: { version: expect.any(String), connId: expect.any(String) },
      features: {
        methods: expect.arrayContaining(['health', 'device.pair.list', 'device.token.rotate']),
        events: ['tick'],
      },
      snapshot: {
        presence: [],
        health: {},
        stateVersion: { presence: 0, health: 0 },
        uptimeMs: expect.any(Number),
      },
      auth: {
        deviceToken: expect.stringMatching(/^hfd_/),
        role: 'operator',
        scopes: ['operator.read'],
        issuedAtMs: expect.any(Number),
      },
      policy: { maxPayload: 1_048_576, maxBufferedBytes: 52_428_800, tickIntervalMs: 30_000 },
    })
  })

  test('pauses where a person is needed, and `holdfast approve` cures it', async () => {
    const { url } = await startGatewayProcess(directory)
    const wish = { url, token: gatewayToken(), scopes: ['operator.admin'] }
    const refused = runOfficial(host, wish)
    expect(await refused.next('paused')).toMatchObject({ code: 'PAIRING_REQUIRED' })
    const { requests } = await holdfastJson<{ requests: { requestId: string }[] }>(directory, 'requests')
    const { details } = await refused.next('refused')
    expect(requests.map(({ requestId }) => requestId)).toEqual([(details as Answered).requestId])
    await holdfastJson(directory, 'approve', requests[0]?.requestId ?? '')
    const { hello } = await runOfficial(host, wish).next('hello')
    expect(hello).toMatchObject({ auth: { scopes: ['operator.admin'] } })
    expect(refused.events.filter(({ kind }) => kind === 'refused')).toHaveLength(1)
  })

  test('calls, and is told what it may not', async () => {
    await start()
    const { client, next } = run({ token: gatewayToken(), scopes: ['operator.pairing'] })
    await next('hello')
    expect(await client.request('health')).toMatchObject({ ok: true })
    const { paired } = await client.request<{ paired: { deviceId: string; connected: boolean }[] }>(
      'device.pair.list',
      {},
    )
    expect(paired).toMatchObject([{ deviceId: identity.id, connected: true }])
    await expect(client.request('device.pair.remove', { deviceId: '__proto__' })).rejects.toMatchObject({
      gatewayCode: 'INVALID_REQUEST',
    })
  })

  test('hears ticks often enough to stay, and would leave without them', async () => {
    const limits = { tickIntervalMs: 400 }
    await start(CEILING, { limits })
    const stays = run({ token: gatewayToken(), scopes: ['operator.read'], tickWatchMinIntervalMs: 100 })
    for (let tick = 0; tick < 5; tick += 1) expect(await stays.next('event')).toMatchObject({ event: 'tick' })
    expect(stays.events.filter(({ kind }) => kind === 'closed')).toEqual([])
    await stays.client.stopAndWait()
    await gateway?.close()
    // Control: at a gate whose time stands still, so that it never ticks.
    await start(CEILING, { limits, clock: new ManualClock() })
    const leaves = run({ token: gatewayToken(), scopes: ['operator.read'], tickWatchMinIntervalMs: 100 })
    expect(await leaves.next('closed')).toMatchObject({ code: 4000 })
  })
})

interface Answered {
  readonly requestId: string
}

describe('the official client and its device token', () => {
  test('keeps it, and comes back with it alone', async () => {
    await start()
    const token = await withToken()
    const back = run({ scopes: ['operator.write'] })
    const { hello } = await back.next('hello')
    expect(hello).toMatchObject({ auth: { scopes: ['operator.write'] } })
    expect(credentials()).toEqual(['device-token'])
    expect([host.token, host.asked]).toEqual([token, ['store']])
  })

  test('F68: with a wrong gateway token beside it, tries once more by itself, and is in', async () => {
    await start()
    await withToken()
    const before = answered()
    const back = run({ token: WRONG, scopes: ['operator.read'] })
    await back.next('hello')
    expect(back.events.map(event => (event.kind === 'refused' ? event.code : event.kind))).toEqual([
      'AUTH_TOKEN_MISMATCH',
      'closed',
      'hello',
    ])
    expect(answered() - before).toBe(2)
    expect(credentials()).toEqual(['device-token'])
  })

  test('F68: outlives a rotation of the gateway token while it is connected, by one repair', async () => {
    const { location } = await start()
    await withToken()
    const live = run({ token: gatewayToken(), scopes: ['operator.read'] })
    await live.next('hello')
    await replacePrivateFile(location, 'gateway-token/token', Buffer.from(`${randomToken()}\n`))
    const before = answered()
    // The gate looks at each connection, and each few seconds.
    const other = officialHost(createEphemeralIdentity())
    await run({ token: gatewayToken(), scopes: ['operator.read'] }, other).next('hello')
    expect(await live.next('closed')).toMatchObject({ code: 1012 })
    await live.next('hello')
    expect(answered() - before).toBe(1 + 2)
    expect(credentials()).toEqual(['gateway-token', 'device-token'])
  })

  test('F70: a dead one is dropped after one try, and the client pauses; its key is enough for the next start', async () => {
    const { store } = await start()
    await withToken()
    await store.revokeDeviceToken(identity.id, { ...BY, role: 'operator' })
    const before = answered()
    const back = run({ scopes: ['operator.read'] })
    expect(await back.next('paused')).toMatchObject({ code: 'AUTH_DEVICE_TOKEN_MISMATCH' })
    expect(host.token).toBeNull()
    expect(answered() - before).toBe(1)
    await run({ scopes: ['operator.read'] }).next('hello')
    expect(credentials()).toEqual(['none'])
  })

  test('F70: with both dead it has tried twice, and pauses', async () => {
    const { store } = await start()
    await withToken()
    await store.revokeDeviceToken(identity.id, { ...BY, role: 'operator' })
    const before = answered()
    const back = run({ token: WRONG, scopes: ['operator.read'] })
    expect(await back.next('paused')).toMatchObject({ code: 'AUTH_DEVICE_TOKEN_MISMATCH' })
    expect(host.token).toBeNull()
    expect(answered() - before).toBe(2)
    // Nobody is locked out by it: the right token is good at once, and brings another device token.
    await enter({ token: gatewayToken(), scopes: ['operator.read'] })
    expect(host.token).toMatch(/^hfd_/)
  })

  test('keeps it where more was asked than it may have, and pauses', async () => {
    await start()
    const token = await withToken()
    const back = run({ scopes: ['operator.admin'] })
    expect(await back.next('paused')).toMatchObject({ code: 'PAIRING_REQUIRED' })
    expect([host.token, host.asked]).toEqual([token, ['store']])
    await enter({ scopes: ['operator.read'] })
  })

  test('F68: a rotation that is broken off at any step leaves it a token that is good', async () => {
    // Two rotations by different people do not come within seconds, so the store's clock goes on between them.
    let aheadMs = 0
    const clock = () => Date.now() + aheadMs
    const store = await openSqliteStore({ path: join(directory, 'store.sqlite'), clock })
    onTestFinished(() => store.close())
    await start(CEILING, { store })
    const old = await withToken()
    const rotate = async () => {
      aheadMs += 10_000
      const { client, next } = run({ scopes: ['operator.pairing'] })
      await next('hello')
      const params = { deviceId: identity.id, role: 'operator' }
      const { token } = await client.request<{ token: string }>('device.token.rotate', params)
      await client.stopAndWait()
      return token
    }
    const isGood = async (token: string) => {
      host.token = token
      const { client, next } = run({ scopes: ['operator.read'] })
      await next('hello')
      expect(credentials()).toEqual(['device-token'])
      await client.stopAndWait()
    }
    // The answer was lost, or the client died before it had kept what it was told.
    await rotate()
    await isGood(old)
    // It was kept, and the gateway died before it was used.
    const next = await rotate()
    await gateway?.close()
    await start(CEILING, { store })
    await isGood(next)
    // A sibling had read the old one before.
    await isGood(old)
    const [record] = await store.listDeviceTokens(identity.id)
    expect(record).toMatchObject({ pending: null })
  })

  test('is handed the one that a rotation promised, over the gateway token, and keeps it', async () => {
    await start()
    const old = await withToken()
    const shared = { token: gatewayToken(), scopes: ['operator.pairing'] }
    const first = run(shared)
    await first.next('hello')
    const answer = await first.client.request('device.token.rotate', {
      deviceId: identity.id,
      role: 'operator',
    })
    expect(answer).not.toHaveProperty('token')
    await first.client.stopAndWait()
    await enter(shared)
    expect(host.token).not.toBe(old)
    await enter({ scopes: ['operator.read'] })
  })

  test('F36: connects and works where it cannot keep the token', async () => {
    await start()
    host = officialHost(identity, { unwritable: true })
    const { client, next } = run({ token: gatewayToken(), scopes: ['operator.read'] })
    await next('hello')
    expect(await client.request('health')).toMatchObject({ ok: true })
    expect(host.asked).toEqual(['store'])
    await client.stopAndWait()
    await enter({ token: gatewayToken(), scopes: ['operator.read'] })
    await enter({ scopes: ['operator.read'] })
    expect(host.asked).toEqual(['store'])
  })
})

/** A gateway that answers every `connect` with this code; how many there were. */
async function refuseAll(code: string): Promise<{ readonly url: string; readonly count: () => number }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  let count = 0
  server.on('connection', socket => {
    const payload = { nonce: randomToken(), ts: Date.now() }
    socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload }))
    socket.on('message', data => {
      count += 1
      const { id } = JSON.parse(data.toString()) as { id: string }
      const error = { code: 'NOT_PAIRED', message: 'no', details: { code } }
      socket.send(JSON.stringify({ type: 'res', id, ok: false, error }))
      socket.close(1008, 'no')
    })
  })
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, count: () => count }
}

describe('refusals that are final for the official client', () => {
  test('control: after a code outside of its list it comes back, without end', async () => {
    const { url, count } = await refuseAll('AUTH_UNAUTHORIZED')
    const loops = runOfficial(host, { url, scopes: ['operator.read'] })
    await until(() => count() === 2)
    expect(loops.events.map(({ kind }) => kind)).not.toContain('paused')
  })

  test('a revoked device: its live connection ends, it asks once more, and pauses', async () => {
    const { store } = await start()
    const live = run({ token: gatewayToken(), scopes: ['operator.read'] })
    await live.next('hello')
    const before = answered()
    await store.revokeDevice(identity.id, BY)
    expect(await live.next('closed')).toMatchObject({ code: 4001 })
    expect(await live.next('paused')).toMatchObject({ code: 'AUTH_SCOPE_MISMATCH' })
    const { details } = await live.next('refused')
    expect(details).toMatchObject({ refusal: 'device-revoked' })
    expect(answered() - before).toBe(1)
  })

  test('a role or scope that the gateway does not know', async () => {
    await start()
    const wish = { token: gatewayToken(), scopes: ['operator.everything'] }
    expect(await run(wish).next('paused')).toMatchObject({ code: 'AUTH_SCOPE_MISMATCH' })
    expect(answered()).toBe(1)
  })

  test('a wrong gateway token with nothing beside it', async () => {
    await start()
    const refused = run({ token: WRONG, scopes: ['operator.read'] })
    expect(await refused.next('paused')).toMatchObject({ code: 'AUTH_TOKEN_MISMATCH' })
    await until(() => answered() === 1)
  })

  test('a protocol that is not spoken here', async () => {
    await start()
    const refused = run({ token: gatewayToken(), scopes: [], minProtocol: 5, maxProtocol: 6 })
    expect(await refused.next('paused')).toMatchObject({ code: 'PROTOCOL_MISMATCH' })
  })

  test('no device, where one is needed', async () => {
    await start()
    const refused = run({ token: gatewayToken(), scopes: ['operator.read'], deviceIdentity: null })
    expect(await refused.next('paused')).toMatchObject({ code: 'DEVICE_IDENTITY_REQUIRED' })
  })
})
