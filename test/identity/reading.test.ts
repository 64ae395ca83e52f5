import { createHash } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findIdentity, openIdentity, openIdentitySync, verifySignature } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { freshFolder, installed, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open.ts', import.meta.url)
const preload = (name: string): string => new URL(`./programs/${name}.ts`, import.meta.url).href
const asRoot = process.geteuid?.() === 0

describe('an existing key', () => {
  test('F05: many processes, one after another, are one device', async () => {
    const directory = join(freshFolder(), 'state')
    const ids = new Set<unknown>()
    for (let count = process.env['HOLDFAST_LONG'] === undefined ? 20 : 200; count > 0; count--) {
      const { answer } = await runProgram(opener, {
        args: [JSON.stringify({ directory, sync: count % 2 === 0 })],
      })
      ids.add((answer as { id?: string }).id)
    }
    expect([...ids]).toEqual([(await findIdentity({ directory }))?.id])
  })

  test('F06: restarts leave hash and time of the key file as they were', async () => {
    const { directory, keyFile } = await installed()
    const look = (): unknown => {
      const { mtimeNs, ctimeNs, ino } = statSync(keyFile, { bigint: true })
      return { mtimeNs, ctimeNs, ino, hash: createHash('sha256').update(readFileSync(keyFile)).digest('hex') }
    }
    const before = look()
    for (let count = 0; count < 10; count++) {
      await runProgram(opener, { args: [JSON.stringify({ directory })] })
    }
    expect(look()).toEqual(before)
    expect(treeOf(directory)).toEqual(['device', join('device', 'key.json')])
  })

  test('F81: is opened once, looked at once and read, and nothing is written or locked', async () => {
    const { directory, keyFile } = await installed()
    const record = join(freshFolder(), 'calls.json')
    for (const sync of [true, false]) {
      await runProgram(opener, {
        args: [JSON.stringify({ directory, sync })],
        nodeFlags: ['--import', preload('record-files')],
        env: { HOLDFAST_TEST_ROOT: directory, HOLDFAST_TEST_RECORD: record },
      })
      const calls = JSON.parse(readFileSync(record, 'utf8')) as { name: string; path: string }[]
      expect(calls.map(call => call.name)).toEqual(['openSync', 'fstatSync', 'readSync'])
      expect(new Set(calls.map(call => call.path))).toEqual(new Set([keyFile]))
    }
  })

  test('is read without loading portable cryptography, or any package at all', async () => {
    const record = join(freshFolder(), 'modules.json')
    const modulesOf = async (directory: string, extra: readonly string[] = []): Promise<string> => {
      await runProgram(opener, {
        args: [JSON.stringify({ directory, sync: true })],
        fromSources: true,
        nodeFlags: ['--import', preload('record-modules'), ...extra],
        env: { HOLDFAST_TEST_RECORD: record },
      })
      return (JSON.parse(readFileSync(record, 'utf8')) as string[]).join('\n')
    }
    const { directory } = await installed()
    expect(await modulesOf(directory)).not.toMatch(/node_modules/)
    // The recorder does see it where it is loaded.
    expect(await modulesOf(directory, ['--import', preload('without-native-ed25519')])).toMatch(/noble/)
  })

  test('F81: can be read in directories that nobody may write', async () => {
    const { directory, id } = await installed()
    chmodSync(join(directory, 'device'), 0o500)
    chmodSync(directory, 0o500)
    try {
      const identity = openIdentitySync({ directory })
      expect(identity.id).toBe(id)
      const message = Buffer.from('still able to sign')
      expect(verifySignature(identity.publicKey, message, identity.sign(message))).toBe(true)
    } finally {
      chmodSync(directory, 0o700)
      chmodSync(join(directory, 'device'), 0o700)
    }
  })

  test('may begin with a byte order mark and have CRLF line ends', async () => {
    const { directory, keyFile, id, bytes } = await installed()
    writeFileSync(keyFile, `\uFEFF${bytes.toString().replaceAll('\n', '\r\n')}`)
    expect((await openIdentity({ directory })).id).toBe(id)
  })

  test('F64: its id is the hash of its key, whatever the caller says', async () => {
    const { directory } = await installed()
    const { id, publicKey } = await openIdentity({
      directory,
      ...{ id: 'f'.repeat(64), deviceId: 'f'.repeat(64) },
    })
    expect(createHash('sha256').update(publicKey.toBytes()).digest('hex')).toBe(id)
  })

  test('is not found where there is none, and looking makes none', async () => {
    const directory = join(freshFolder(), 'state')
    expect(await findIdentity({ directory })).toBeNull()
    expect(await findIdentity({ directory, name: 'gateway' })).toBeNull()
    expect(treeOf(join(directory, '..'))).toEqual([])
  })

  test('device and gateway are two identities of one install', async () => {
    const { directory, id } = await installed()
    const gateway = await openIdentity({ directory, name: 'gateway' })
    expect(gateway.created).toBe(true)
    expect(gateway.id).not.toBe(id)
    expect((await openIdentity({ directory })).id).toBe(id)
  })
})

describe('a place that cannot be written', () => {
  test.runIf(asRoot)('F78: names the owner and both uids, and leaves nothing behind', async () => {
    const folder = freshFolder()
    chmodSync(folder, 0o755)
    const directory = join(folder, 'a', 'b')
    const { answer } = await runProgram(opener, {
      args: [JSON.stringify({ directory, asUid: 12345 })],
    })
    expect(answer).toMatchObject({
      code: 'STATE_NOT_WRITABLE',
      detail: { path: directory, errno: 'EACCES', ownerUid: 0, uid: 12345 },
    })
    expect(treeOf(folder)).toEqual([])
  })
})

describe.runIf(process.platform !== 'win32')('M23: whatever the umask', () => {
  test.each(['000', '002', '077'])('directories are 0700 and files 0600 under umask %s', async umask => {
    const directory = join(freshFolder(), 'a', 'state')
    const { answer } = await runProgram(opener, {
      args: [JSON.stringify({ directory })],
      nodeFlags: ['--import', `data:text/javascript,process.umask(0o${umask})`],
    })
    expect(answer).toMatchObject({ created: true })
    const modeOf = (...parts: string[]): number => statSync(join(directory, ...parts)).mode & 0o7777
    expect([modeOf('..'), modeOf(), modeOf('device'), modeOf('device', 'key.json')]).toEqual([
      0o700, 0o700, 0o700, 0o600,
    ])
  })
})
