import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createEphemeralIdentity, findIdentity, openIdentity, resetIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { startTogether } from '../support/processes.ts'
import { failureOf, freshFolder, treeOf } from './state-folder.ts'

const resetter = new URL('./programs/reset.ts', import.meta.url)
const keyFile = (folder: string): string => join(folder, 'key.json')

describe('resetIdentity', () => {
  test('F16: one call gives a new device, and the former key is whole beside it', async () => {
    const directory = join(freshFolder(), 'state')
    const former = await openIdentity({ directory })
    const bytes = readFileSync(former.location?.deviceKey ?? '')
    const { identity, setAside } = await resetIdentity({ directory })
    expect(identity.id).not.toBe(former.id)
    expect(identity.created).toBe(true)
    expect((await openIdentity({ directory })).id).toBe(identity.id)
    expect(setAside).toMatch(/device\.old-\d{8}T\d{9}Z$/)
    expect(readFileSync(keyFile(setAside ?? ''))).toEqual(bytes)
  })

  test('F04: goes past whatever lies in the key’s place, and deletes none of it', async () => {
    const lying: readonly ((place: string) => void)[] = [
      place => writeFileSync(keyFile(place), 'half'),
      place => mkdirSync(join(place, 'notes')),
      ...(process.platform === 'win32' ? [] : [(place: string) => symlinkSync('nowhere', keyFile(place))]),
    ]
    for (const lay of lying) {
      const directory = freshFolder()
      mkdirSync(join(directory, 'device'), { mode: 0o700 })
      lay(join(directory, 'device'))
      const inside = readdirSync(join(directory, 'device'))
      const { identity, setAside } = await resetIdentity({ directory })
      expect(readdirSync(setAside ?? '')).toEqual(inside)
      expect((await findIdentity({ directory }))?.id).toBe(identity.id)
    }
  })

  test('where there is no key, makes one and sets nothing aside', async () => {
    const directory = join(freshFolder(), 'state')
    expect(await resetIdentity({ directory })).toMatchObject({ setAside: null, identity: { created: true } })
    expect(treeOf(directory)).toEqual(['device', join('device', 'key.json')])
  })

  test('the one who confirmed a device resets that one or none', async () => {
    const directory = join(freshFolder(), 'state')
    const { id } = await openIdentity({ directory })
    const another = createEphemeralIdentity().id
    const failure = await failureOf(() => resetIdentity({ directory, deviceId: another }))
    expect(failure).toMatchObject({ code: 'IDENTITY_UNEXPECTED', detail: { expected: another, found: id } })
    expect((await openIdentity({ directory })).id).toBe(id)
    expect((await resetIdentity({ directory, deviceId: id })).identity.id).not.toBe(id)
  })

  test('the gateway’s key is apart from the device’s', async () => {
    const directory = join(freshFolder(), 'state')
    const device = await openIdentity({ directory })
    const gateway = await openIdentity({ directory, name: 'gateway' })
    const { identity, setAside } = await resetIdentity({ directory, name: 'gateway' })
    expect(setAside).toContain('gateway.old-')
    expect(identity.id).not.toBe(gateway.id)
    expect((await openIdentity({ directory })).id).toBe(device.id)
  })

  test('M21: a child resets no identity that was handed down to it', async () => {
    const directory = join(freshFolder(), 'state')
    const { id } = await openIdentity({ directory })
    const given = { HOLDFAST_DIR_HANDED: directory, HOLDFAST_DEVICE_HANDED: id }
    Object.assign(process.env, given)
    try {
      const failure = await failureOf(() => resetIdentity({ app: 'handed' }))
      expect(failure.code).toBe('IDENTITY_HANDED_DOWN')
    } finally {
      for (const name of Object.keys(given)) delete process.env[name]
    }
    expect((await openIdentity({ directory })).id).toBe(id)
  })

  test('F01: resets that happen together, beside openers, lose no key: each that ever was is there', async () => {
    const directory = join(freshFolder(), 'state')
    await openIdentity({ directory })
    const outcomes = await startTogether(resetter, 12, index => ({
      args: [directory, index % 3 === 0 ? 'reset' : 'open'],
    }))
    expect(outcomes.map(({ stderr }) => stderr).join('')).toBe('')
    const seen = new Set(outcomes.map(({ answer }) => (answer as { id: string }).id))
    // The lock of somebody who could not remove it goes stale.
    const keys = readdirSync(directory).filter(name => name !== 'install.lock')
    const there = keys.map(name => JSON.parse(readFileSync(keyFile(join(directory, name)), 'utf8')).deviceId)
    for (const id of seen) expect(there).toContain(id)
    expect(new Set(there).size).toBe(there.length)
  })
})
