import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { describe, expect, test } from 'vitest'
import { type Program, startProgram } from '../../support/processes.ts'
import { plainAttempt, plainKeyOf } from '../plain-client.ts'
import { booksOf, newSince } from '../real-pairing.ts'
import { startRelay } from '../relay.ts'
import { type Release, useDirectories } from '../release.ts'

const CHILD = new URL('../programs/four-wishes.ts', import.meta.url)

/** An enrolment that is killed while another device helps it. */
export function cutOff(release: Release): void {
  const newDirectory = useDirectories()

  describe('an enrolment that frees a device', () => {
    test.each([
      ['has approved', 'device.pair.approve', { paired: 2, acts: ['rejected', 'approved', 'removed'] }],
      ['has cleared up', 'device.pair.remove', { paired: 2, acts: ['removed'] }],
    ])(
      'is killed before it %s: the next one does, and no other device is touched',
      async (_, method, left) => {
        const directory = newDirectory()
        const { url } = release.gateway
        const identity = await openIdentity({ directory })
        const wish = { url, token: release.home.gatewayToken }
        const before = await booksOf(release.gateway)
        await plainAttempt(plainKeyOf(directory), { ...wish, scopes: ['operator.read'] })
        const stuck = await plainAttempt(plainKeyOf(directory), { ...wish, scopes: ['operator.write'] })
        expect(stuck.ok).toBe(false)

        let program: Program | null = null
        const relay = await startRelay(url, called => {
          if (called !== method) return true
          program?.kill('SIGKILL')
          return false
        })
        program = startProgram(CHILD, { args: [directory, relay.url, wish.token, ''] })
        expect((await program.outcome).signal).toBe('SIGKILL')
        await relay.close()
        // What a kill leaves: one device too many.
        expect(newSince(before, await booksOf(release.gateway)).paired).toHaveLength(left.paired)

        const enrolment = await enrollWithOpenClaw({ identity, ...wish })
        expect(enrolment.outcome).toBe('enrolled')
        expect(new Set(left.acts)).toEqual(new Set([...left.acts, ...enrolment.did.map(({ act }) => act)]))
        expect(enrolment.did.filter(({ act }) => act === 'removed')).not.toEqual([])
        expect(newSince(before, await booksOf(release.gateway))).toEqual({
          paired: [identity.id],
          pending: [],
        })
      },
    )
  })
}
