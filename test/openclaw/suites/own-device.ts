import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw, exportToOpenClaw, importOpenClawIdentity } from '@holdfast/openclaw'
import { describe, expect, test } from 'vitest'
import { createRealHome, type RealCommandOutcome, runRealCommand } from '../real-gateway.ts'
import { jsonOf } from '../real-output.ts'
import { booksOf, newSince } from '../real-pairing.ts'
import { type Release, useDirectories } from '../release.ts'
import { connectForEach } from '../wishes.ts'

/** Every file below a directory, with the digest of what is in it; but not the shared memory of a running database. */
export function contentsOf(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return Object.fromEntries(
    files
      .map(entry => join(entry.parentPath, entry.name))
      .filter(path => !path.endsWith('-shm'))
      .toSorted()
      .map(path => [path, createHash('sha256').update(readFileSync(path)).digest('hex')]),
  )
}

/** Two programs, one device: OpenClaw's own becomes ours, or ours becomes OpenClaw's. */
export function ownDevice(release: Release): void {
  const { version } = release
  const newDirectory = useDirectories()
  const target = () => ({ url: release.gateway.url, token: release.home.gatewayToken })

  if (version === '2026.9.6') {
    describe('the identity of an install of OpenClaw', () => {
      test('is adopted while its gateway runs', async () => {
        const directory = newDirectory()
        const options = { directory, openclawDirectory: release.home.stateDirectory }
        expect(await importOpenClawIdentity(options)).toMatchObject({ outcome: 'adopted' })
        expect(await importOpenClawIdentity(options)).toMatchObject({ outcome: 'present' })
        const identity = await openIdentity({ directory })
        expect((await enrollWithOpenClaw({ identity, ...target() })).outcome).toBe('enrolled')
        expect(await connectForEach('rwpa', identity, target())).toBe(4)
      })

      test('is not given a key file, which would keep its gateway from starting', async () => {
        const { stateDirectory } = release.home
        const identity = await openIdentity({ directory: newDirectory() })
        const exported = exportToOpenClaw({ identity, openclawDirectory: stateDirectory })
        await expect(exported).rejects.toMatchObject({ code: 'OPENCLAW_USES_DATABASE' })
        expect(readdirSync(stateDirectory)).not.toContain('identity')
      })
    })
    return
  }

  describe('the identity of an install of OpenClaw', () => {
    test('is adopted: our processes are the device that its command line made', async () => {
      const { home, gateway } = release
      const keys = join(home.stateDirectory, 'identity')
      const health = ['gateway', 'call', 'health', '--json', '--timeout', '60000']
      jsonOf(await runRealCommand(version, home, health))
      const kept = JSON.parse(readFileSync(join(keys, 'device.json'), 'utf8'))
      const before = [contentsOf(keys), await booksOf(gateway)] as const
      const directory = newDirectory()
      const options = { directory, openclawDirectory: home.stateDirectory }
      const imported = await importOpenClawIdentity(options)
      expect(imported).toMatchObject({ outcome: 'adopted', identity: { id: kept.deviceId } })
      expect(await importOpenClawIdentity(options)).toMatchObject({ outcome: 'present' })
      expect(contentsOf(keys)).toEqual(before[0])

      const identity = await openIdentity({ directory })
      expect(identity.id).toBe(kept.deviceId)
      expect((await enrollWithOpenClaw({ identity, ...target() })).outcome).toBe('enrolled')
      expect(await connectForEach('rwpa', identity, target())).toBe(4)
      // The command line goes on as before: one device for both.
      jsonOf(await runRealCommand(version, home, health))
      expect(newSince(before[1], await booksOf(gateway))).toEqual({ paired: [], pending: [] })
    })

    test('that never ran is ours from the start, in four command lines at once', async () => {
      const fresh = createRealHome()
      const identity = await openIdentity({ directory: newDirectory() })
      const options = { identity, openclawDirectory: fresh.stateDirectory }
      expect(await exportToOpenClaw(options)).toMatchObject({ outcome: 'written' })
      expect(await exportToOpenClaw(options)).toMatchObject({ outcome: 'present' })
      const path = join(fresh.stateDirectory, 'identity', 'device.json')
      expect(statSync(path).mode & 0o777).toBe(0o600)
      const text = readFileSync(path, 'utf8')
      const before = await booksOf(release.gateway)
      await enrollWithOpenClaw({ identity, ...target() })
      const { url, token } = target()
      const words = ['gateway', 'call', 'health', '--json', '--url', url, '--token', token]
      const run = (): Promise<RealCommandOutcome> =>
        runRealCommand(version, fresh, [...words, '--timeout', '60000'])
      for (const outcome of await Promise.all([run(), run(), run(), run()])) jsonOf(outcome)
      expect(readFileSync(path, 'utf8')).toBe(text)
      expect(newSince(before, await booksOf(release.gateway))).toEqual({ paired: [identity.id], pending: [] })
      fresh.remove()
    })
  })
}
