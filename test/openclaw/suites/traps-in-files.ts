import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { beforeAll, describe, expect, test } from 'vitest'
import { createPlainKey, pemsOf, plainAttempt, plainKeyOf } from '../plain-client.ts'
import { examine, type FoundTrap, follow } from '../real-doctor.ts'
import { jsonOf } from '../real-output.ts'
import { withObserver } from '../real-pairing.ts'
import { runShell } from '../real-shell.ts'
import { type Release, useDirectories } from '../release.ts'

/**
 * The traps of 2026.2 to 2026.8, each sprung at the real thing; and what the doctor gives against it is run as it stands.
 * One after the other, on the device that the release's command line is.
 */
export function trapsInFiles(release: Release): void {
  const newDirectory = useDirectories()
  const key = createPlainKey()
  let stateDirectory: string
  const wish = () => ({ url: release.gateway.url, token: release.home.gatewayToken })
  const health = () => runShell(release.version, release.home, 'openclaw gateway call health --json')
  /** Of these devices: other tests have left theirs in the books. */
  const found = async (...deviceIds: readonly string[]): Promise<readonly FoundTrap[]> => {
    const traps = await examine(release, stateDirectory)
    return traps.filter(({ deviceId }) => deviceId === undefined || deviceIds.includes(deviceId))
  }

  /** What other tests ran, and said of itself what the command line says: once its key is another, these are its former ones. */
  const forgetCommandLines = (): Promise<void> =>
    withObserver(release.gateway, async observer => {
      const { payload } = await observer.call('device.pair.list')
      type Paired = { readonly deviceId: string; readonly clientId?: string; readonly displayName?: string }
      const { paired } = payload as { readonly paired: readonly Paired[] }
      for (const { deviceId } of paired.filter(
        row => row.clientId === 'cli' && row.displayName === undefined,
      ))
        expect(await observer.call('device.pair.remove', { deviceId })).toMatchObject({ ok: true })
    })

  describe('what the doctor finds, and gives a command against', () => {
    beforeAll(async () => {
      stateDirectory = newDirectory()
      const folder = join(release.home.stateDirectory, 'identity')
      await forgetCommandLines()
      rmSync(folder, { recursive: true, force: true })
      mkdirSync(folder)
      const fields = { version: 1, deviceId: key.deviceId, ...pemsOf(key), createdAtMs: Date.now() }
      writeFileSync(join(folder, 'device.json'), JSON.stringify(fields), { mode: 0o600 })
    })

    test('stuck scopes of its own command line', async () => {
      const named = { ...wish(), displayName: null }
      expect((await plainAttempt(key, { ...named, scopes: ['operator.read'] })).ok).toBe(true)
      const [unasked] = await found(key.deviceId)
      expect(unasked).toMatchObject({ trap: 'scopes-stuck', requestId: null })
      // It is refused, and its request is what can be approved.
      expect((await follow(release, unasked)).exitCode).not.toBe(0)
      const [asked] = await found(key.deviceId)
      expect(asked).toMatchObject({ trap: 'scopes-stuck', requestId: expect.any(String) })
      expect(await follow(release, asked)).toMatchObject({ exitCode: 0 })
      expect(jsonOf(await health())).toMatchObject({ ok: true })
      expect(await found(key.deviceId)).toEqual([])
    })

    test('stuck scopes of an install of ours', async () => {
      const { id } = await openIdentity({ directory: stateDirectory })
      const scopes = ['operator.read']
      expect((await plainAttempt(plainKeyOf(stateDirectory), { ...wish(), scopes })).ok).toBe(true)
      const traps = await found(id)
      expect(traps).toMatchObject([{ trap: 'scopes-stuck', deviceId: id }])
      const enrolled = await follow(release, traps[0], `${release.home.gatewayToken}\n`)
      expect(enrolled).toMatchObject({ exitCode: 0, stderr: '' })
      expect(await found(id)).toEqual([])
    })

    test('token drift', async () => {
      const { deviceId } = key
      await withObserver(release.gateway, async observer => {
        const rotated = await observer.call('device.token.rotate', { deviceId, role: 'operator' })
        expect(rotated).toMatchObject({ ok: true })
      })
      const traps = await found(deviceId)
      expect(traps).toMatchObject([{ trap: 'token-drift', deviceId }])
      expect(await follow(release, traps[0])).toMatchObject({ exitCode: 0 })
      expect(await found(deviceId)).toEqual([])
    })

    test('a poisoned request', async () => {
      const stranger = createPlainKey()
      const headers =
        release.version === '2026.2.21'
          ? { 'X-Forwarded-For': '203.0.113.9' }
          : { Origin: `http://127.0.0.1:${release.gateway.port}` }
      const attempt = (more: object) =>
        plainAttempt(stranger, { ...wish(), scopes: ['operator.read'], ...more })
      expect((await attempt({ headers })).ok).toBe(false)
      const traps = await found(stranger.deviceId)
      expect(traps).toMatchObject([{ trap: 'request-poisoned', deviceId: stranger.deviceId }])
      expect((await attempt({})).ok).toBe(false)
      const [again] = await found(stranger.deviceId)
      expect(await follow(release, again)).toMatchObject({ exitCode: 0 })
      expect(await found(stranger.deviceId)).toEqual([])
      expect((await attempt({})).ok).toBe(true)
    })

    test('a key that cannot be read, and then was made anew: the former is still let in until it is removed', async () => {
      const path = join(release.home.stateDirectory, 'identity', 'device.json')
      writeFileSync(path, '')
      expect(await found()).toMatchObject([{ trap: 'key-unusable', code: 'OPENCLAW_KEY_DAMAGED' }])
      // It does not ask: it makes another key over the damaged one.
      expect(jsonOf(await health())).toMatchObject({ ok: true })
      const all = await examine(release, stateDirectory)
      const [regenerated] = all.filter(({ trap }) => trap === 'key-regenerated')
      expect(regenerated).toMatchObject({ known: [key.deviceId], paired: true })
      const named = { ...wish(), displayName: null }
      expect((await plainAttempt(key, { ...named, scopes: ['operator.read'] })).ok).toBe(true)
      expect(await follow(release, regenerated)).toMatchObject({ exitCode: 0 })
      const left = await examine(release, stateDirectory)
      expect(left.filter(({ trap }) => trap === 'key-regenerated')).toEqual([])
    })
  })
}
