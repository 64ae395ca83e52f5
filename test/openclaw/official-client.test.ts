import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningGateway, startGateway } from '@holdfast/gateway'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { createHostDeps } from '@holdfast/openclaw'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DEFAULT_CEILING } from '../../packages/cli/src/command-list.ts'
import { officialConnect } from './official-client.ts'

const READ = ['operator.read']
const WRITE = ['operator.write']

describe("OpenClaw's official client at our gate", () => {
  const base = mkdtempSync(join(tmpdir(), 'holdfast-official-'))
  let gateway: RunningGateway
  let token: string
  let identity: DeviceIdentity
  let installs = 0
  beforeAll(async () => {
    const directory = join(base, 'gate')
    gateway = await startGateway({ directory, trustedLocal: { ceiling: ['operator.write'] } })
    token = readFileSync(join(directory, 'gateway-token', 'token'), 'utf8').trim()
  })
  afterAll(async () => {
    await gateway?.close()
    rmSync(base, { recursive: true, force: true })
  })
  beforeEach(async () => {
    identity = await openIdentity({ directory: join(base, `install-${installs++}`) })
  })

  const connect = (wish: { token?: string; scopes: readonly string[] }, patient = false) => {
    const { url } = gateway
    return officialConnect({ url, hostDeps: createHostDeps({ identity, url }), ...wish }, patient)
  }

  test('reads, then writes, as one device and without a request', async () => {
    expect(await connect({ token, scopes: READ })).toEqual({ ok: true })
    expect(await connect({ token, scopes: WRITE })).toEqual({ ok: true })
    const { deviceId } = (await gateway.store.findDevice(identity.id)) ?? {}
    expect(deviceId).toBe(identity.id)
    expect((await gateway.store.listRequests()).items).toEqual([])
  })

  test('C1: under a ceiling of operator.admin has all of it; under the default one a person approves, and then it has', async () => {
    const started: RunningGateway[] = []
    const at = async (name: string, ceiling: readonly string[]) => {
      const directory = join(base, name)
      const running = await startGateway({ directory, trustedLocal: { ceiling } })
      started.push(running)
      const shared = readFileSync(join(directory, 'gateway-token', 'token'), 'utf8').trim()
      const { url, store } = running
      const ask = (scope: string) => {
        const hostDeps = createHostDeps({ identity, url })
        return officialConnect({ url, hostDeps, token: shared, scopes: [`operator.${scope}`] })
      }
      return { ask, store }
    }
    const wide = await at('wide', ['operator.admin'])
    for (const scope of ['read', 'write', 'admin']) expect(await wide.ask(scope)).toEqual({ ok: true })
    expect((await wide.store.listDevices()).items).toHaveLength(1)
    expect((await wide.store.listRequests()).items).toEqual([])

    const usual = await at('usual', DEFAULT_CEILING)
    expect(await usual.ask('write')).toEqual({ ok: true })
    expect(await usual.ask('admin')).toEqual({ ok: false, code: 'PAIRING_REQUIRED' })
    const [request] = (await usual.store.listRequests()).items
    if (request === undefined) throw new Error('no request was filed')
    const by = { kind: 'store-writer' } as const
    await usual.store.approveRequest(request.requestId, { by, expectedDigest: request.digest })
    expect(await usual.ask('admin')).toEqual({ ok: true })
    for (const running of started) await running.close()
  })

  test('comes back without the gateway token', async () => {
    expect(await connect({ token, scopes: READ })).toEqual({ ok: true })
    expect(await connect({ scopes: WRITE })).toEqual({ ok: true })
  })

  test('is told what needs a person, and what a wrong token is', async () => {
    expect(await connect({ token, scopes: ['operator.admin'] })).toEqual({
      ok: false,
      code: 'PAIRING_REQUIRED',
    })
    expect(await connect({ token: 'wrong', scopes: READ }, true)).toEqual({
      ok: false,
      code: 'AUTH_TOKEN_MISMATCH',
    })
  })
})
