import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { createHostDeps, enrollWithOpenClaw } from '@holdfast/openclaw'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { officialConnect } from './official-client.ts'
import { createRealHome, type RealGateway, type RealHome, startRealGateway } from './real-gateway.ts'
import { booksOf } from './real-pairing.ts'

const READ = ['operator.read']
const WRITE = ['operator.read', 'operator.write']

describe.each(['2026.4.8', '2026.9.6'] as const)(
  'the official client through createHostDeps at openclaw %s',
  version => {
    let home: RealHome
    let gateway: RealGateway
    let directory: string
    let identity: DeviceIdentity
    beforeAll(async () => {
      home = createRealHome()
      gateway = await startRealGateway(version, home)
    })
    afterAll(async () => {
      await gateway?.stop()
      home?.remove()
    })
    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-state-'))
      identity = await openIdentity({ directory })
    })
    afterEach(() => rmSync(directory, { recursive: true, force: true }))

    const tokens = (): string => join(directory, 'openclaw-tokens')
    const tokenFile = (): string => join(tokens(), readdirSync(tokens())[0] ?? '')
    const storedToken = (): Record<string, unknown> => JSON.parse(readFileSync(tokenFile(), 'utf8'))
    const connect = (wish: { token?: string; scopes: readonly string[] }, patient = false) => {
      const name = { clientDisplayName: `official ${identity.id.slice(0, 8)}` }
      return officialConnect(
        { url: gateway.url, hostDeps: createHostDeps({ identity, url: gateway.url }), ...name, ...wish },
        patient,
      )
    }

    test('stores a token, and is let in with nothing but that', async () => {
      expect(await connect({ token: home.gatewayToken, scopes: READ })).toMatchObject({ ok: true })
      expect(storedToken()).toMatchObject({ deviceId: identity.id, role: 'operator' })
      expect(statSync(tokenFile()).mode & 0o777).toBe(0o600)
      expect(statSync(tokens()).mode & 0o777).toBe(0o700)
      expect(await connect({ scopes: READ })).toMatchObject({ ok: true })
    })

    test('keeps a good token when too much was asked with it', async () => {
      await connect({ token: home.gatewayToken, scopes: READ })
      const before = storedToken()
      expect(await connect({ scopes: WRITE }, true)).toMatchObject({ ok: false })
      expect(storedToken()).toEqual(before)
      expect(await connect({ scopes: READ })).toMatchObject({ ok: true })
    })

    test('upgrades: once enrolled, it has whatever it asks for, and the token grows with it', async () => {
      await enrollWithOpenClaw({ identity, url: gateway.url, token: home.gatewayToken })
      expect(await connect({ token: home.gatewayToken, scopes: READ })).toMatchObject({ ok: true })
      expect(await connect({ token: home.gatewayToken, scopes: WRITE })).toMatchObject({ ok: true })
      expect(storedToken()['scopes']).toEqual(expect.arrayContaining(WRITE))
      expect(await connect({ scopes: WRITE })).toMatchObject({ ok: true })
    })

    test('drops a token that does not match, that one alone, and recovers with the gateway token', async () => {
      await connect({ token: home.gatewayToken, scopes: READ })
      const elsewhere = createHostDeps({ identity, url: 'ws://127.0.0.1:1' })
      const other = { deviceId: identity.id, role: 'operator' }
      elsewhere.storeDeviceAuthToken({ ...other, token: 'of-another-gateway', scopes: READ })
      const good = createHostDeps({ identity, url: gateway.url }).loadDeviceAuthToken(other)
      for (const name of readdirSync(tokens())) {
        const path = join(tokens(), name)
        const text = readFileSync(path, 'utf8')
        writeFileSync(path, text.replace(good?.token ?? 'none', 'spoilt-token'))
      }
      expect(await connect({ scopes: READ }, true)).toMatchObject({ ok: false })
      expect(createHostDeps({ identity, url: gateway.url }).loadDeviceAuthToken(other)).toBe(null)
      expect(elsewhere.loadDeviceAuthToken(other)?.token).toBe('of-another-gateway')
      expect(await connect({ token: home.gatewayToken, scopes: READ })).toMatchObject({ ok: true })
      expect(await connect({ scopes: READ })).toMatchObject({ ok: true })
    })

    test('without its token files it is the same device, and nobody is asked', async () => {
      await enrollWithOpenClaw({ identity, url: gateway.url, token: home.gatewayToken })
      await connect({ token: home.gatewayToken, scopes: WRITE })
      const before = await booksOf(gateway)
      rmSync(tokens(), { recursive: true })
      expect(await connect({ token: home.gatewayToken, scopes: READ })).toMatchObject({ ok: true })
      expect(await connect({ token: home.gatewayToken, scopes: WRITE })).toMatchObject({ ok: true })
      expect(await booksOf(gateway)).toEqual(before)
    })
  },
)

describe('the official client through createHostDeps at openclaw 2026.2.21', () => {
  let home: RealHome
  let gateway: RealGateway
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-state-'))
  beforeAll(async () => {
    home = createRealHome()
    gateway = await startRealGateway('2026.2.21', home)
  })
  afterAll(async () => {
    await gateway?.stop()
    home?.remove()
    rmSync(directory, { recursive: true, force: true })
  })

  test('is let in signed, with the gateway token, where the older string is signed; the newer is refused', async () => {
    const identity = await openIdentity({ directory })
    const { url } = gateway
    const wish = { url, token: home.gatewayToken, scopes: READ }
    const refused = await officialConnect({ ...wish, hostDeps: createHostDeps({ identity, url }) })
    expect(refused.ok).toBe(false)
    const hostDeps = createHostDeps({ identity, url, proof: 'v2' })
    expect(await officialConnect({ ...wish, hostDeps })).toMatchObject({ ok: true })
    expect((await booksOf(gateway)).paired).toEqual([identity.id])
  })
})
