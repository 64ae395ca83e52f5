import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import {
  createHostDeps,
  enrollWithOpenClaw,
  exportToOpenClaw,
  importOpenClawIdentity,
} from '@holdfast/openclaw'
import { beforeAll, describe, expect, test } from 'vitest'
import { officialConnect } from '../official-client.ts'
import { runRealCommand } from '../real-gateway.ts'
import { jsonOf } from '../real-output.ts'
import { type Books, booksOf, newSince, promptsDuring } from '../real-pairing.ts'
import { type Release, useDirectories } from '../release.ts'
import { connectForEach } from '../wishes.ts'
import { contentsOf } from './own-device.ts'

/** What a device must survive. These tests stop and start the gateway that the others of the file have used. */
export function lifetimes(release: Release): void {
  const { version } = release
  const newDirectory = useDirectories()
  let directory: string
  let identity: DeviceIdentity
  let before: Books
  const target = () => ({ url: release.gateway.url, token: release.home.gatewayToken })
  const openclawDirectory = () => release.home.stateDirectory

  /** All that connects as this device does so without being asked about, and the gateway knows no other by it. */
  async function expectSameDevice(): Promise<void> {
    expect((await openIdentity({ directory })).id).toBe(identity.id)
    const prompts = await promptsDuring(release.gateway, async () => {
      expect(await connectForEach('rwpa', identity, target())).toBe(4)
      const proof = release.gateway.version === '2026.2.21' ? 'v2' : 'v3'
      const hostDeps = createHostDeps({ identity, url: release.gateway.url, proof })
      const wish = { hostDeps, scopes: ['operator.write'], clientDisplayName: nameOf(identity) }
      expect(await officialConnect({ ...target(), ...wish })).toEqual({ ok: true })
      const health = ['gateway', 'call', 'health', '--json', '--timeout', '60000']
      jsonOf(await runRealCommand(release.gateway.version, release.home, health))
    })
    expect(prompts).toEqual([])
    expect(newSince(before, await booksOf(release.gateway))).toEqual({ paired: [identity.id], pending: [] })
  }

  describe('the same device, without a prompt', () => {
    beforeAll(async () => {
      directory = newDirectory()
      identity = await openIdentity({ directory })
    })

    test('as it is enrolled; the command line is the same device where it keeps its key in a file', async () => {
      before = await booksOf(release.gateway)
      if (version !== '2026.9.6') {
        rmSync(join(openclawDirectory(), 'identity'), { recursive: true, force: true })
        await exportToOpenClaw({ identity, openclawDirectory: openclawDirectory() })
      }
      const proof = version === '2026.2.21' ? 'v2' : 'v3'
      const enrolment = await enrollWithOpenClaw({ identity, ...target() })
      expect(enrolment).toEqual({ outcome: 'enrolled', proof, did: [] })
      await expectSameDevice()
    })

    test('after the gateway was stopped and started', async () => {
      // Without enrolling again: what the gateway keeps is enough.
      await release.startAgain()
      await expectSameDevice()
    })

    test("after everybody's token files were deleted", async () => {
      rmSync(join(directory, 'openclaw-tokens'), { recursive: true })
      rmSync(join(openclawDirectory(), 'identity', 'device-auth.json'), { force: version === '2026.9.6' })
      await expectSameDevice()
    })

    if (version === '2026.4.8') {
      test('after the state directory was upgraded to 2026.9.6, which took the key in', async () => {
        const known = await booksOf(release.gateway)
        await release.startAgain('2026.9.6')
        expect((await booksOf(release.gateway)).paired.toSorted()).toEqual(known.paired.toSorted())
        await expectSameDevice()
        const options = { directory, openclawDirectory: openclawDirectory() }
        expect(await importOpenClawIdentity(options)).toMatchObject({
          outcome: 'present',
          identity: { id: identity.id },
        })
        const enrolment = await enrollWithOpenClaw({ identity, ...target() })
        expect(enrolment).toEqual({ outcome: 'enrolled', proof: 'v3', did: [] })
      })

      test('read out of the database of a gateway that is stopped, with nothing written into its directory', async () => {
        await release.stop()
        const contents = contentsOf(openclawDirectory())
        const options = { directory: newDirectory(), openclawDirectory: openclawDirectory() }
        const imported = await importOpenClawIdentity(options)
        expect(imported).toMatchObject({ outcome: 'adopted', identity: { id: identity.id } })
        const exported = exportToOpenClaw({ identity, openclawDirectory: openclawDirectory() })
        await expect(exported).rejects.toMatchObject({ code: 'OPENCLAW_USES_DATABASE' })
        expect(contentsOf(openclawDirectory())).toEqual(contents)
      })

      test('after the upgraded gateway was started again', async () => {
        await release.startAgain('2026.9.6')
        await expectSameDevice()
      })
    }
  })
}

function nameOf(identity: DeviceIdentity): string {
  return `holdfast ${identity.id.slice(0, 8)}`
}
