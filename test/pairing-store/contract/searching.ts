import { createEphemeralIdentity, type DeviceId } from '@holdfast/identity'
import { type PairingStore, parseDeviceCursor } from '@holdfast/pairing-store'
import { describe, expect, test } from 'vitest'
import { attempt } from '../attempts.ts'
import { type OpenStore, type Started, startStore, WRITER } from './open-store.ts'

async function named({ store, token }: Started, name: string | null): Promise<DeviceId> {
  const identity = createEphemeralIdentity()
  await store.admit(attempt({ identity, token, ...(name !== null && { name }) }))
  return identity.id
}

/** Every page of what is found, in its order. */
async function find(store: PairingStore, search: string, limit = 100): Promise<readonly DeviceId[]> {
  const found: DeviceId[] = []
  let after: string | undefined
  do {
    const page = await store.listDevices({ search, limit, ...(after !== undefined && { after }) })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    found.push(...page.items.map(each => each.deviceId))
    after = page.next ?? undefined
    if (after !== undefined) expect(parseDeviceCursor(after)).not.toBeNull()
  } while (after !== undefined)
  return found
}

export function searchContract(openStore: OpenStore): void {
  describe('searching devices', () => {
    test('a device is found by how its id or its name begins, in large letters or small', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const [laptop, lamp, none] = [
        await named(started, 'Laptop of Zoë'),
        await named(started, 'lamp'),
        await named(started, null),
      ]
      for (const search of ['Laptop of Zoë', 'LAPTOP', 'lapt', ' lap ', 'la\u202ep\u0000t']) {
        expect(await find(store, search)).toEqual([laptop])
      }
      expect(await find(store, 'LA')).toEqual([lamp, laptop])
      expect(await find(store, 'aptop')).toEqual([])
      // Beyond ASCII a large letter is another.
      expect(await find(store, 'laptop of zoË')).toEqual([])
      for (const id of [laptop, lamp, none]) {
        expect(await find(store, id)).toEqual([id])
        expect(await find(store, id.slice(0, 20).toUpperCase())).toEqual([id])
        expect(await find(store, `${id}0`)).toEqual([])
      }
      expect(await find(store, '')).toEqual([laptop, lamp, none].sort())
    })

    test('those by their ids come first, then those by their names, each once, page after page', async () => {
      const started = await startStore(openStore)
      const names = [...Array.from({ length: 12 }, () => 'A1'), 'a10', 'a11', 'A2', 'A', 'b', null]
      const devices: { readonly id: DeviceId; readonly name: string }[] = []
      for (const name of names)
        devices.push({ id: await named(started, name), name: (name ?? '').toLowerCase() })
      const [byId, others] = [
        devices.filter(({ id }) => id.startsWith('a')).map(({ id }) => id),
        devices.filter(({ id, name }) => name.startsWith('a') && !id.startsWith('a')),
      ]
      const byName = ['a', 'a1', 'a10', 'a11', 'a2'].flatMap(name =>
        others
          .filter(each => each.name === name)
          .map(({ id }) => id)
          .sort(),
      )
      const wanted = [...byId.sort(), ...byName]
      for (const limit of [1, 3, 5, 100]) expect(await find(started.store, 'a', limit)).toEqual(wanted)
    })

    test('a page may end at the longest name there is', async () => {
      const started = await startStore(openStore)
      const name = '\u{1f98a}'.repeat(40)
      const ids = [await named(started, name), await named(started, name)].sort()
      expect(await find(started.store, name, 1)).toEqual(ids)
    })

    test('whoever is called something else between two pages is missed there; nobody else is', async () => {
      const started = await startStore(openStore)
      for (let count = 0; count < 6; count += 1) await named(started, 'host')
      const { items, next } = await started.store.listDevices({ search: 'host', limit: 3 })
      const [first, , last] = items
      if (first === undefined || last === undefined || next === null) throw new Error('nothing was found')
      const all = await find(started.store, 'host')
      for (const { deviceId } of [first, last]) {
        await started.store.renameDevice(deviceId, { ...WRITER, name: 'zz' })
      }
      const rest = await started.store.listDevices({ search: 'host', after: next })
      expect(rest).toMatchObject({ items: all.slice(3).map(deviceId => ({ deviceId })), next: null })
    })

    test('no sign in a text stands for anything but itself, and no text is too strange to look for', async () => {
      const started = await startStore(openStore)
      const { store } = started
      const id = await named(started, '50%_*?[a-z]\'"\\--;')
      await named(started, '500 other things')
      expect(await find(store, '50%_*?[a-z]\'"\\--;')).toEqual([id])
      expect(await find(store, '50%')).toEqual([id])
      const hostile = [
        ...['%', '_', '5_%', '*', '\\', '50%%', '\u0000', '\ud800', '\u{10ffff}', '\u202e'],
        ...["'; drop table device; --", '" or 1=1', 'a'.repeat(41), 'f'.repeat(65), '5'.repeat(100_000)],
        '__proto__',
      ]
      for (const search of hostile) expect(await find(store, search), search.slice(0, 50)).toEqual([])
      expect(await store.listDevices()).toMatchObject({ items: [{}, {}] })
    })

    test('a search is a text, and its cursor is one that a page gave', async () => {
      const { store } = await startStore(openStore)
      for (const search of [1, null, {}, ['a']] as never[]) {
        await expect(store.listDevices({ search })).rejects.toThrow(TypeError)
      }
      const { id } = createEphemeralIdentity()
      const nameOf = (text: string) => `${id}.${Buffer.from(text).toString('base64url')}`
      for (const after of [
        '',
        'x',
        '.',
        `${id}.`,
        `x${nameOf('a').slice(1)}`,
        nameOf('\u0000'),
        nameOf(' a'),
      ]) {
        await expect(store.listDevices({ search: 'a', after })).rejects.toThrow(TypeError)
      }
      await expect(store.listDevices({ after: nameOf('a') })).rejects.toThrow(TypeError)
      for (const name of ['0', 'a', 'z']) {
        expect(await store.listDevices({ search: 'a', after: nameOf(name) })).toEqual({
          items: [],
          next: null,
        })
      }
    })
  })
}
