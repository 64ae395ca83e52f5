import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exportGateway, importGateway, type RunningGateway, startGateway } from '@holdfast/gateway'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { locateState, readGatewayNote, readGatewayToken } from '@holdfast/identity/state'
import { openPostgresStore } from '@holdfast/pairing-store'
import { connectToGateway, type GatewayConnection } from '@holdfast/spawner'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { PASSWORD, type PostgresServer, startPostgres } from '../pairing-store/postgres-server.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { until } from './test-gate.ts'

const LONG = process.env['HOLDFAST_LONG'] !== undefined
const CEILING = ['operator.read', 'operator.write']

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres({ flags: ['-c', 'max_connections=200'] })
})
afterAll(() => server.stop())

interface Fleet {
  readonly url: string
  readonly directories: readonly string[]
  start(index: number, options?: Partial<Parameters<typeof startGateway>[0]>): Promise<RunningGateway>
  token(): Promise<string>
}

/** State directories that are one gateway, and a database for all of them. */
async function provision(count: number): Promise<Fleet> {
  const top = mkdtempSync(join(tmpdir(), 'holdfast-fleet-'))
  const running: RunningGateway[] = []
  onTestFinished(async () => {
    for (const gateway of running) await gateway.close()
    rmSync(top, { recursive: true, force: true })
  })
  const url = await server.createDatabase(`fleet-${Math.random().toString(36).slice(2)}`)
  const directories = Array.from({ length: count }, (_, index) => join(top, `gateway-${index}`))
  const bundle = join(top, 'bundle')
  for (const [index, directory] of directories.entries()) {
    const location = locateState({ directory })
    if (index === 0) await exportGateway(location, bundle)
    else await importGateway(location, readFileSync(bundle))
  }
  return {
    url,
    directories,
    start: async (index, options = {}) => {
      const directory = directories[index] ?? ''
      const gateway = await startGateway({
        directory,
        store: url,
        trustedLocal: { ceiling: CEILING },
        ...options,
      })
      running.push(gateway)
      return gateway
    },
    token: async () => (await readGatewayToken(locateState({ directory: directories[0] ?? '' }))) ?? '',
  }
}

function dial(
  gateway: Pick<RunningGateway, 'url' | 'gatewayId'>,
  options: {
    readonly identity: DeviceIdentity
    readonly token?: string
    readonly scopes?: readonly string[]
  },
): Promise<GatewayConnection> {
  return connectToGateway({
    url: gateway.url,
    gatewayId: gateway.gatewayId,
    role: 'operator',
    scopes: ['operator.read'],
    reconnect: false,
    ...options,
  })
}

describe('a fleet on one store', () => {
  test('what one gateway exports makes another machine the same gateway, and shows nothing of it', async () => {
    const fleet = await provision(3)
    const gateways = await Promise.all([0, 1, 2].map(index => fleet.start(index)))
    expect(new Set(gateways.map(({ gatewayId }) => gatewayId)).size).toBe(1)
    const [first = '', second = ''] = fleet.directories
    const file = join(first, '..', 'again')
    await exportGateway(locateState({ directory: first }), file)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    await expect(exportGateway(locateState({ directory: first }), file)).rejects.toMatchObject({
      code: 'PROVISION_NOT_WRITTEN',
    })
    const bytes = readFileSync(file)
    expect(await importGateway(locateState({ directory: second }), bytes)).toMatchObject({ token: 'known' })
    const stranger = join(first, '..', 'stranger')
    await exportGateway(locateState({ directory: stranger }), `${file}-2`)
    await expect(importGateway(locateState({ directory: stranger }), bytes)).rejects.toMatchObject({
      code: 'IDENTITY_EXISTS',
    })
    const damaged = Buffer.from(bytes.toString().slice(0, -10))
    await expect(importGateway(locateState({ directory: second }), damaged)).rejects.toMatchObject({
      code: 'PROVISION_DAMAGED',
    })
  })

  test('the address of the server is in no note and no kept head, where it has a password', async () => {
    const fleet = await provision(1)
    const gateway = await fleet.start(0)
    const { directory } = gateway.location
    expect((await readGatewayNote(gateway.location))?.store).toBeNull()
    for (const name of ['gateway.json', 'audit-head/head.json']) {
      expect(readFileSync(join(directory, name), 'utf8')).not.toContain(PASSWORD)
    }
  })

  test('registered or approved at one is admitted at the other; revoked at one is cut at the other', async () => {
    const fleet = await provision(2)
    const [one, other] = [await fleet.start(0), await fleet.start(1)]
    const identity = createEphemeralIdentity()
    const registered = await dial(one, { identity, token: await fleet.token() })
    const there = await dial(other, { identity })
    await expect(dial(other, { identity, scopes: ['operator.admin'] })).rejects.toMatchObject({
      code: 'ADMISSION_REFUSED',
    })
    const [request] = (await one.store.listRequests()).items
    if (request === undefined) throw new Error('no request')
    const { requestId, digest } = request
    await one.store.approveRequest(requestId, { by: { kind: 'store-writer' }, expectedDigest: digest })
    const admin = await dial(other, { identity, scopes: ['operator.admin'] })
    await one.store.revokeDevice(identity.id, { by: { kind: 'store-writer' } })
    for (const connection of [registered, there, admin]) {
      expect(await connection.closed).toMatchObject({ code: 4001 })
    }
    await expect(dial(other, { identity })).rejects.toMatchObject({ code: 'ADMISSION_REFUSED' })
  })

  test('a store that is gone admits nobody, and everybody again when it is back, by itself', async () => {
    const fleet = await provision(1)
    const proxy = await startTcpProxy([server.port])
    onTestFinished(() => proxy.close())
    const store = await openPostgresStore({ url: fleet.url.replace(`:${server.port}/`, `:${proxy.port}/`) })
    onTestFinished(() => store.close())
    const gateway = await fleet.start(0, { store })
    const identity = createEphemeralIdentity()
    const live = await dial(gateway, { identity, token: await fleet.token() })
    proxy.lead([1])
    proxy.cut()
    const faults: unknown[] = []
    gateway.onEvent(event => event.event === 'fault' && faults.push(event.error))
    const refused = connectToGateway({
      url: gateway.url,
      gatewayId: gateway.gatewayId,
      identity,
      role: 'operator',
      scopes: ['operator.read'],
      reconnect: false,
      connectTimeoutMs: 0,
    })
    await expect(refused).rejects.toMatchObject({ name: 'SpawnerError' })
    expect(faults[0]).toMatchObject({ code: 'STORE_UNREACHABLE' })
    // What is revoked meanwhile is cut as soon as the gate can know of it.
    const direct = await openPostgresStore({ url: fleet.url })
    onTestFinished(() => direct.close())
    await direct.revokeDevice(identity.id, { by: { kind: 'store-writer' }, keepRegistration: true })
    proxy.lead([server.port])
    expect(await live.closed).toMatchObject({ code: 4001 })
    await dial(gateway, { identity: createEphemeralIdentity(), token: await fleet.token() })
  })

  test('behind a proxy, while gateways are restarted one after the other, every client is back and nobody is refused', async () => {
    const clients = LONG ? 500 : 40
    const fleet = await provision(2)
    const proxy = await startTcpProxy([])
    onTestFinished(() => proxy.close())
    const publicAddresses = [`127.0.0.1:${proxy.port}`]
    let gateways = [await fleet.start(0, { publicAddresses }), await fleet.start(1, { publicAddresses })]
    const lead = () => proxy.lead(gateways.map(({ port }) => port))
    lead()
    const token = await fleet.token()
    const [first] = gateways
    if (first === undefined) throw new Error('no gateway')
    const ends: unknown[] = []
    const connect = async () => {
      const connection = await connectToGateway({
        url: `ws://127.0.0.1:${proxy.port}`,
        gatewayId: first.gatewayId,
        identity: createEphemeralIdentity(),
        token,
        role: 'operator',
        scopes: ['operator.read'],
        connectTimeoutMs: 120_000,
      })
      void connection.closed.then(end => ends.push(end))
      return connection
    }
    const connections: GatewayConnection[] = []
    while (connections.length < clients) {
      connections.push(...(await Promise.all(Array.from({ length: 20 }, connect))))
    }
    for (const index of [0, 1]) {
      await gateways[index]?.close()
      const again = await fleet.start(index, { publicAddresses })
      gateways = gateways.map((gateway, at) => (at === index ? again : gateway))
      lead()
      await until(
        () => gateways.reduce((sum, { gate }) => sum + gate.connections().length, 0) === clients,
        120_000,
      )
    }
    expect(ends).toEqual([])
    for (const connection of connections)
      expect(await connection.call('health', {})).toMatchObject({ ok: true })
    for (const connection of connections) await connection.close()
  })
})
