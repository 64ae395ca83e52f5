import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { describe, expect, test } from 'vitest'
import { createPlainKey, plainAttempt, plainKeyOf } from '../plain-client.ts'
import { booksOf, newSince, promptsDuring, withObserver } from '../real-pairing.ts'
import { type Release, useDirectories } from '../release.ts'
import { connectForEach } from '../wishes.ts'

/** What Holdfast is for, without it: valid token, loopback. And then the same with it. */
export function plainClientFails(release: Release): void {
  const { version } = release
  const newDirectory = useDirectories()
  const holdsToFirstScopes = version !== '2026.9.6'

  describe('a plain client', () => {
    test('reads, and is closed with "pairing required" when it wants to write, up to 2026.4: enrolling cures it', async () => {
      const directory = newDirectory()
      const identity = await openIdentity({ directory })
      const { url } = release.gateway
      const wish = { url, token: release.home.gatewayToken }
      const before = await booksOf(release.gateway)
      const attempt = (scopes: readonly string[]) => plainAttempt(plainKeyOf(directory), { ...wish, scopes })
      const prompts = await promptsDuring(release.gateway, async () => {
        expect((await attempt(['operator.read'])).ok).toBe(true)
        const write = await attempt(['operator.read', 'operator.write'])
        if (!holdsToFirstScopes) expect(write.ok).toBe(true)
        else {
          const reason = expect.stringContaining('pairing required')
          expect(write).toMatchObject({ ok: false, closeCode: 1008, code: 'NOT_PAIRED', reason })
          const requestId = expect.stringMatching(/^[0-9a-f-]{36}$/)
          const more = version === '2026.4.8' ? { reason: 'scope-upgrade' } : {}
          expect(write).toMatchObject({ details: { requestId, ...more } })
        }
      })
      expect(prompts).toEqual(holdsToFirstScopes ? [identity.id] : [])

      const enrolment = await enrollWithOpenClaw({ identity, ...wish })
      expect(enrolment.outcome).toBe('enrolled')
      expect(enrolment.did.map(({ act }) => act)).toEqual(holdsToFirstScopes ? ['approved', 'removed'] : [])
      expect((await attempt(['operator.read', 'operator.write'])).ok).toBe(true)
      expect(await connectForEach('rwpa', identity, wish)).toBe(4)
      expect(newSince(before, await booksOf(release.gateway))).toEqual({ paired: [identity.id], pending: [] })
    })

    test.runIf(version === '2026.4.8')(
      'whose processes come at once, with one key and different scopes, is refused: enrolling cures it',
      async () => {
        const directory = newDirectory()
        const identity = await openIdentity({ directory })
        const wish = { url: release.gateway.url, token: release.home.gatewayToken }
        const before = await booksOf(release.gateway)
        const answers = await Promise.all(
          Array.from({ length: 16 }, (_, index) => {
            // Neither implies the other, so that whoever is second is refused, whoever that is.
            const scopes = [index % 2 === 0 ? 'operator.read' : 'operator.approvals']
            return plainAttempt(plainKeyOf(directory), { ...wish, scopes })
          }),
        )
        expect(answers.filter(({ ok }) => !ok)).not.toEqual([])
        expect((await enrollWithOpenClaw({ identity, ...wish })).outcome).toBe('enrolled')
        expect(await connectForEach('rwpa', identity, wish)).toBe(4)
        expect(newSince(before, await booksOf(release.gateway))).toEqual({
          paired: [identity.id],
          pending: [],
        })
      },
    )

    test('that makes a key in each process is as many devices, where an install is one', async () => {
      const wish = { url: release.gateway.url, token: release.home.gatewayToken, scopes: ['operator.read'] }
      const before = await booksOf(release.gateway)
      const keys = Array.from({ length: 8 }, createPlainKey)
      for (const key of keys) expect((await plainAttempt(key, wish)).ok).toBe(true)
      const ids = keys.map(({ deviceId }) => deviceId)
      const { paired } = newSince(before, await booksOf(release.gateway))
      expect(paired.toSorted()).toEqual(ids.toSorted())
      await withObserver(release.gateway, async connection => {
        for (const deviceId of ids) await connection.call('device.pair.remove', { deviceId })
      })
      expect(newSince(before, await booksOf(release.gateway)).paired).toEqual([])
    })

    test('with a request that lies about is shut out of everything: enrolling cures it, and says how', async () => {
      const directory = newDirectory()
      const identity = await openIdentity({ directory })
      const wish = { url: release.gateway.url, token: release.home.gatewayToken, scopes: ['operator.read'] }
      const before = await booksOf(release.gateway)
      const attempt = (headers: Readonly<Record<string, string>>) =>
        plainAttempt(plainKeyOf(directory), { ...wish, headers })
      // What comes through a browser or a proxy is never let in silently, and neither is what comes after it.
      const indirect =
        version === '2026.2.21'
          ? { 'X-Forwarded-For': '203.0.113.9' }
          : { Origin: `http://127.0.0.1:${release.gateway.port}` }
      expect((await attempt(indirect)).ok).toBe(false)
      expect((await attempt({})).ok).toBe(false)
      expect(newSince(before, await booksOf(release.gateway)).pending).toEqual([identity.id])
      const enrolment = await enrollWithOpenClaw({ identity, url: wish.url, token: wish.token })
      expect(enrolment.outcome).toBe('enrolled')
      expect(enrolment.did.map(({ act }) => act)).not.toEqual([])
      expect(newSince(before, await booksOf(release.gateway))).toEqual({ paired: [identity.id], pending: [] })
      expect((await attempt({})).ok).toBe(true)
    })
  })
}
