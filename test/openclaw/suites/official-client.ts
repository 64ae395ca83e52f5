import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { createHostDeps, enrollWithOpenClaw } from '@holdfast/openclaw'
import { beforeEach, describe, expect, test } from 'vitest'
import { officialConnect, officialUpgrade } from '../official-client.ts'
import { booksOf, newSince, withObserver } from '../real-pairing.ts'
import { type Release, useDirectories } from '../release.ts'

const READ = ['operator.read']
const WRITE = ['operator.read', 'operator.write']

/** OpenClaw's own client library, with our half of it. */
export function officialClient(release: Release): void {
  const { version } = release
  const newDirectory = useDirectories()
  let directory: string
  let identity: DeviceIdentity
  const url = () => release.gateway.url
  const token = () => release.home.gatewayToken
  const clientDisplayName = () => `official ${identity.id.slice(0, 8)}`
  const connect = (wish: { token?: string; scopes: readonly string[] }, patient = false) =>
    officialConnect(
      {
        url: url(),
        hostDeps: createHostDeps({ identity, url: url() }),
        clientDisplayName: clientDisplayName(),
        ...wish,
      },
      patient,
    )

  /** For each test an install of its own. */
  const newInstall = async (): Promise<void> => {
    directory = newDirectory()
    identity = await openIdentity({ directory })
  }

  if (version === '2026.2.21') {
    describe('the official client through createHostDeps', () => {
      beforeEach(newInstall)

      test('is let in signed, with the gateway token, where the older string is signed; the newer is refused', async () => {
        const before = await booksOf(release.gateway)
        const wish = { url: url(), token: token(), scopes: READ, clientDisplayName: clientDisplayName() }
        expect((await connect({ token: token(), scopes: READ })).ok).toBe(false)
        const hostDeps = createHostDeps({ identity, url: url(), proof: 'v2' })
        expect(await officialConnect({ ...wish, hostDeps })).toMatchObject({ ok: true })
        expect(newSince(before, await booksOf(release.gateway)).paired).toEqual([identity.id])
      })
    })
    return
  }

  describe('the official client through createHostDeps', () => {
    beforeEach(newInstall)

    const tokens = (): string => join(directory, 'openclaw-tokens')
    const tokenFile = (): string => join(tokens(), readdirSync(tokens())[0] ?? '')
    const storedToken = (): Record<string, unknown> => JSON.parse(readFileSync(tokenFile(), 'utf8'))
    const owner = () => ({ deviceId: identity.id, role: 'operator' })
    const loadedToken = () => createHostDeps({ identity, url: url() }).loadDeviceAuthToken(owner())
    const spoilToken = (): void => {
      const good = loadedToken()?.token
      if (good === undefined) throw new Error('no token to spoil')
      for (const name of readdirSync(tokens())) {
        const path = join(tokens(), name)
        writeFileSync(path, readFileSync(path, 'utf8').replace(good, 'spoilt-token'))
      }
    }

    test('stores a token, and is let in with nothing but that', async () => {
      expect(await connect({ scopes: READ }, true)).toMatchObject({ ok: false })
      expect(await connect({ token: token(), scopes: READ })).toMatchObject({ ok: true })
      expect(storedToken()).toMatchObject(owner())
      expect(statSync(tokenFile()).mode & 0o777).toBe(0o600)
      expect(statSync(tokens()).mode & 0o777).toBe(0o700)
      expect(await connect({ scopes: READ })).toMatchObject({ ok: true })
    })

    test('keeps a good token when too much was asked with it', async () => {
      await connect({ token: token(), scopes: READ })
      const before = storedToken()
      expect(await connect({ scopes: WRITE }, true)).toMatchObject({ ok: false })
      expect(storedToken()).toEqual(before)
      expect(await connect({ scopes: READ })).toMatchObject({ ok: true })
    })

    test('upgrades: once enrolled, it has whatever it asks for, and the token grows with it', async () => {
      await enrollWithOpenClaw({ identity, url: url(), token: token() })
      expect(await connect({ token: token(), scopes: READ })).toMatchObject({ ok: true })
      expect(await connect({ token: token(), scopes: WRITE })).toMatchObject({ ok: true })
      expect(storedToken()['scopes']).toEqual(expect.arrayContaining(WRITE))
      expect(await connect({ scopes: WRITE })).toMatchObject({ ok: true })
    })

    test.runIf(version === '2026.9.6')('upgrades with the call that 2026.9 has for that', async () => {
      expect(await connect({ token: token(), scopes: READ })).toMatchObject({ ok: true })
      const hostDeps = createHostDeps({ identity, url: url() })
      const wish = { url: url(), hostDeps, scopes: READ, clientDisplayName: clientDisplayName() }
      const upgraded = await withObserver(release.gateway, observer =>
        officialUpgrade(wish, ['operator.write'], requestId =>
          observer.call('device.pair.approve', { requestId }),
        ),
      )
      expect(upgraded).toMatchObject({ status: 'approved', scopes: expect.arrayContaining(WRITE) })
      expect(upgraded['deviceToken']).toEqual(expect.any(String))
      expect(await connect({ token: token(), scopes: WRITE })).toMatchObject({ ok: true })
      expect(await connect({ scopes: WRITE })).toMatchObject({ ok: true })
    })

    test('drops a token that does not match, that one alone, and recovers with the gateway token', async () => {
      await connect({ token: token(), scopes: READ })
      const elsewhere = createHostDeps({ identity, url: 'ws://127.0.0.1:1' })
      elsewhere.storeDeviceAuthToken({ ...owner(), token: 'of-another-gateway', scopes: READ })
      spoilToken()
      expect(await connect({ scopes: READ }, true)).toMatchObject({ ok: false })
      expect(loadedToken()).toBe(null)
      expect(elsewhere.loadDeviceAuthToken(owner())?.token).toBe('of-another-gateway')
      expect(await connect({ token: token(), scopes: READ })).toMatchObject({ ok: true })
      expect(await connect({ scopes: READ })).toMatchObject({ ok: true })
    })

    test('with a wrong gateway token is let in by its device token, and without one is not', async () => {
      await connect({ token: token(), scopes: READ })
      expect(await connect({ token: 'wrong-token', scopes: READ }, true)).toMatchObject({ ok: true })
      spoilToken()
      expect(await connect({ token: 'wrong-token', scopes: READ }, true)).toMatchObject({ ok: false })
      expect(await connect({ token: token(), scopes: READ })).toMatchObject({ ok: true })
    })

    test('without its token files it is the same device, and nobody is asked', async () => {
      await enrollWithOpenClaw({ identity, url: url(), token: token() })
      await connect({ token: token(), scopes: WRITE })
      const before = await booksOf(release.gateway)
      rmSync(tokens(), { recursive: true })
      expect(await connect({ token: token(), scopes: READ })).toMatchObject({ ok: true })
      expect(await connect({ token: token(), scopes: WRITE })).toMatchObject({ ok: true })
      expect(newSince(before, await booksOf(release.gateway))).toEqual({ paired: [], pending: [] })
    })
  })
}
