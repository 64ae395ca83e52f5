import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPlainKey, plainAttempt } from './plain-client.ts'
import { createRealHome, type RealGateway, type RealHome, startRealGateway } from './real-gateway.ts'
import { REAL_VERSIONS } from './real-versions.ts'

/** What Holdfast is for, without it: one key, a valid token, loopback; first read, then write. */
describe.each(REAL_VERSIONS)('a plain client at openclaw %s', version => {
  let home: RealHome
  let gateway: RealGateway
  beforeAll(async () => {
    home = createRealHome()
    gateway = await startRealGateway(version, home)
  })
  afterAll(async () => {
    await gateway?.stop()
    home?.remove()
  })

  test('is let in to read, and then closed with "pairing required" when it wants to write, up to 2026.4', async () => {
    const key = createPlainKey()
    const wish = { url: gateway.url, token: home.gatewayToken }
    const read = await plainAttempt(key, { ...wish, scopes: ['operator.read'] })
    expect(read.ok).toBe(true)
    const write = await plainAttempt(key, { ...wish, scopes: ['operator.read', 'operator.write'] })
    if (version === '2026.9.6') {
      expect(write.ok).toBe(true)
      return
    }
    expect(write).toMatchObject({ ok: false, closeCode: 1008, code: 'NOT_PAIRED' })
    expect(write.ok ? null : write.details['requestId']).toMatch(/^[0-9a-f-]{36}$/)
  })
})
