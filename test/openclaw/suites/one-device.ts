import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { describe, expect, test } from 'vitest'
import { startTogether } from '../../support/processes.ts'
import { plainAttempt, plainKeyOf } from '../plain-client.ts'
import { booksOf, newSince, promptsDuring } from '../real-pairing.ts'
import { type Release, useDirectories } from '../release.ts'

const CHILDREN = 32
const CHILD = new URL('../programs/four-wishes.ts', import.meta.url)
const ORDERS = ['rwpa', 'aprw', 'wrap', 'pawr', 'arwp', 'prwa', 'rapw', 'wapr']

interface Answer {
  readonly deviceId: string
  readonly outcome: string
  readonly did: readonly string[]
  readonly admitted: number
}

/** One install, many processes: what it is all about. */
export function oneDevice(release: Release): void {
  const { version } = release
  const newDirectory = useDirectories()
  const target = () => ({ url: release.gateway.url, token: release.home.gatewayToken })

  /** What enrolling did beside letting the device in, all children taken together; and whom operators were asked about. */
  async function admitAll(directory: string): Promise<{
    readonly did: readonly string[]
    readonly prompts: readonly string[]
  }> {
    const { url, token } = target()
    let answers: readonly Answer[] = []
    const prompts = await promptsDuring(release.gateway, async () => {
      const outcomes = await startTogether(CHILD, CHILDREN, index => ({
        args: [directory, url, token, ORDERS[index % ORDERS.length] ?? ''],
      }))
      for (const { answer, stderr } of outcomes) expect({ answer, stderr }).toMatchObject({ stderr: '' })
      answers = outcomes.map(({ answer }) => answer as Answer)
    })
    const { id } = await openIdentity({ directory })
    expect(new Set(answers.map(({ deviceId }) => deviceId))).toEqual(new Set([id]))
    expect(new Set(answers.map(({ outcome }) => outcome))).toEqual(new Set(['enrolled']))
    expect(answers.reduce((sum, { admitted }) => sum + admitted, 0)).toBe(4 * CHILDREN)
    return { did: answers.flatMap(({ did }) => did), prompts }
  }

  describe('one install', () => {
    test('32 children of a fresh one, each in its own order: 128 admitted, 1 device, no request, no prompt', async () => {
      const directory = newDirectory()
      const before = await booksOf(release.gateway)
      expect(await admitAll(directory)).toEqual({ did: [], prompts: [] })
      const { id } = await openIdentity({ directory })
      expect(newSince(before, await booksOf(release.gateway))).toEqual({ paired: [id], pending: [] })
    })

    test('the same from one that was stuck, which one of the children frees', async () => {
      const directory = newDirectory()
      const before = await booksOf(release.gateway)
      const { id } = await openIdentity({ directory })
      const key = plainKeyOf(directory)
      expect((await plainAttempt(key, { ...target(), scopes: ['operator.read'] })).ok).toBe(true)
      const write = await plainAttempt(key, { ...target(), scopes: ['operator.read', 'operator.write'] })
      expect(write.ok).toBe(version === '2026.9.6')
      const { did, prompts } = await admitAll(directory)
      expect(did).toEqual(version === '2026.9.6' ? [] : ['approved', 'removed'])
      // 2026.4 tells its operators of the one wish that frees the device, which is granted before anybody could answer.
      expect(prompts).toEqual(version === '2026.4.8' ? [id] : [])
      expect(newSince(before, await booksOf(release.gateway))).toEqual({ paired: [id], pending: [] })
    })

    test('enrolling again changes nothing, and a wrong token is said, not cured', async () => {
      const identity = await openIdentity({ directory: newDirectory() })
      const options = { identity, ...target() }
      await enrollWithOpenClaw(options)
      expect(await enrollWithOpenClaw(options)).toMatchObject({ outcome: 'enrolled', did: [] })
      // The device is known, so that its key would do at a gateway that allows it; none of OpenClaw's does.
      const wrong = enrollWithOpenClaw({ ...options, token: 'wrong-token' })
      await expect(wrong).rejects.toMatchObject({ code: 'ADMISSION_REFUSED' })
    })
  })
}
