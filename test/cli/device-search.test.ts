import { join } from 'node:path'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'
import { expect, test } from 'vitest'
import { holdfastHere, holdfastJson, temporaryFolder } from './holdfast.ts'

interface Listed {
  readonly devices: readonly { readonly deviceId: string; readonly name: string }[]
  readonly next: string | null
}

/** A state directory whose store knows devices by these names. */
async function storeOf(...names: readonly string[]): Promise<string> {
  const stateDir = temporaryFolder()
  const store = await openSqliteStore({ path: join(stateDir, 'store.sqlite') })
  for (const name of names) {
    const { publicKey } = createEphemeralIdentity()
    const wish = { by: { kind: 'store-writer' }, role: 'operator', scopes: ['operator.read'] } as const
    await store.preregisterDevice({ ...wish, publicKey, name })
  }
  await store.close()
  return stateDir
}

test('devices are searched by how their name or id begins, and the line below a page leads to the next', async () => {
  const stateDir = await storeOf('laptop', 'LAPTOP 2', 'lap%', "lap'top", 'phone')
  const names = async (...words: string[]) =>
    (await holdfastJson<Listed>(stateDir, 'devices', ...words)).devices.map(({ name }) => name)
  expect((await names('--search', 'lap')).sort()).toEqual(['LAPTOP 2', 'lap%', "lap'top", 'laptop'])
  expect(await names('--search', 'lap%')).toEqual(['lap%'])
  expect(await names('--search', '%')).toEqual([])
  const { devices } = await holdfastJson<Listed>(stateDir, 'devices', '--search', "lap'")
  expect(await names('--search', devices[0]?.deviceId.slice(0, 16) ?? '')).toEqual(["lap'top"])

  const found: string[] = []
  let words = ['devices', '--search', "lap\u001b[2J'", '--limit', '1', '--state-dir', stateDir]
  expect((await holdfastHere(words)).stdout).not.toMatch(/More:/)
  words = ['devices', '--search', 'lap', '--limit', '1', '--state-dir', stateDir]
  for (let page = 0; page < 4; page += 1) {
    const { stdout } = await holdfastHere(words)
    found.push(/"(.*)"/.exec(stdout)?.[1] ?? '')
    const [, more] = /^More: holdfast (.*)$/m.exec(stdout) ?? []
    if (more === undefined) break
    words = more.split(' ').map(word => word.replaceAll("'", ''))
  }
  expect(found).toEqual(['lap%', "lap'top", 'laptop', 'LAPTOP 2'])
})

test('a search without a text, and the cursor of another list, are wrong usage; a search in vain is not', async () => {
  const stateDir = await storeOf('laptop', 'laptop')
  const ask = (...words: string[]) => holdfastHere(['devices', ...words, '--state-dir', stateDir, '--json'])
  const { next } = await holdfastJson<Listed>(stateDir, 'devices', '--search', 'lap', '--limit', '1')
  for (const words of [
    ['--search', ''],
    ['--after', next ?? ''],
    ['--search', 'lap', '--after', 'zz'],
  ]) {
    expect((await ask(...words)).answer, words.join(' ')).toMatchObject({ error: { code: 'USAGE' } })
  }
  expect(await ask('--search', 'nobody')).toMatchObject({ exitCode: 0, answer: { devices: [], next: null } })
})
