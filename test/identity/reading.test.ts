import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import {
  findIdentity,
  openIdentity,
  openIdentitySync,
  resetIdentity,
  verifySignature,
} from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { failureOf, freshFolder, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open.ts', import.meta.url)
const preload = (name: string): string => new URL(`./programs/${name}.ts`, import.meta.url).href
const asRoot = process.geteuid?.() === 0

async function installed(): Promise<{ directory: string; keyFile: string; id: string; bytes: Buffer }> {
  const directory = join(freshFolder(), 'state')
  const { id } = await openIdentity({ directory })
  const keyFile = join(directory, 'device', 'key.json')
  return { directory, keyFile, id, bytes: readFileSync(keyFile) }
}

/** The command that helps, by the code that it helps against. Each names what was refused, as one word of a command. */
const COMMANDS: Readonly<Record<string, RegExp>> = {
  KEY_FILE_DAMAGED: /(holdfast id reset --state-dir|ls -ld?) \S+$/,
  KEY_FILE_EXPOSED: /chmod go(=|-w) \S+$/,
  KEY_FILE_FOREIGN: /sudo -u '#12345' /,
  KEY_FILE_LINKED: /(ls -l|readlink -f|find \/ -samefile) \S+$/,
  KEY_FILE_UNREADABLE: /ls -ld \S+$/,
}

/** Every way to open refuses with this code, these facts and a command, and what lies there is as it was. */
async function expectRefused(
  directory: string,
  code: string,
  facts: Readonly<Record<string, unknown>>,
): Promise<void> {
  const before = lookOf(directory)
  for (const open of [openIdentity, openIdentitySync, findIdentity]) {
    const failure = await failureOf(() => open({ directory }))
    expect(failure.code).toBe(code)
    expect(failure.detail).toMatchObject({ ...facts, fix: expect.stringMatching(COMMANDS[code] ?? /^$/) })
    expect(facts).toHaveProperty('path')
  }
  expect(lookOf(directory)).toEqual(before)
}

/** Every path of a state directory, with kind, mode, owner, times, and what is in it. */
function lookOf(directory: string): readonly unknown[] {
  return ['.', ...treeOf(directory)].map(name => {
    const path = join(directory, name)
    const { mode, uid, nlink, mtimeMs, ctimeMs, ino } = lstatSync(path)
    const isReadable = lstatSync(path).isFile() && (mode & 0o400) !== 0
    return {
      name,
      mode,
      uid,
      nlink,
      mtimeMs,
      ctimeMs,
      ino,
      bytes: isReadable ? readFileSync(path, 'hex') : null,
    }
  })
}

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

describe('a key that cannot be used is never replaced', () => {
  const damages: readonly [string, string, (text: string) => string | Buffer][] = [
    ['0 bytes', 'empty', () => ''],
    ['half its length', 'truncated', text => text.slice(0, text.length / 2)],
    ['all but its last brace', 'truncated', text => text.slice(0, -2)],
    ['not JSON', 'not-json', () => 'device key: see the wiki'],
    ['an array', 'not-json', () => '[]'],
    ['random bytes', 'not-json', () => Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 167) % 256))],
    ['another format', 'format-unknown', text => text.replace('holdfast-key', 'other-key')],
    ['no format', 'format-unknown', () => '{}'],
    ['a newer version', 'version-unknown', text => text.replace('"version": 1', '"version": 2')],
    ['no private key', 'secret-key-missing', text => text.replace('secretKey', 'formerKey')],
    ['a private key of 31 bytes', 'secret-key-missing', text => text.replace(/("secretKey": ")./, '$1')],
    ['no public key', 'public-key-missing', text => text.replace('publicKey', 'formerKey')],
    ['no time', 'creation-time-missing', text => text.replace('createdAtMs', 'madeAtMs')],
    ['100 KB', 'too-large', text => text + ' '.repeat(100_000)],
  ]
  test.each(damages)('F04: %s is said as %s', async (_, reason, damage) => {
    const { directory, keyFile, bytes } = await installed()
    writeFileSync(keyFile, damage(bytes.toString()))
    await expectRefused(directory, 'KEY_FILE_DAMAGED', { path: keyFile, reason })
  })

  test('C16: the id of another key', async () => {
    const [mine, theirs] = [await installed(), await installed()]
    writeFileSync(mine.keyFile, mine.bytes.toString().replace(mine.id, theirs.id))
    await expectRefused(mine.directory, 'KEY_FILE_DAMAGED', { path: mine.keyFile, reason: 'id-mismatch' })
  })

  test('C16: the public key, or the private key, of another', async () => {
    const [mine, theirs] = [await installed(), await installed()]
    const stored = JSON.parse(mine.bytes.toString())
    const other = JSON.parse(theirs.bytes.toString())
    for (const swapped of [
      { ...stored, publicKey: other.publicKey },
      { ...stored, secretKey: other.secretKey },
    ]) {
      writeFileSync(mine.keyFile, JSON.stringify(swapped))
      await expectRefused(mine.directory, 'KEY_FILE_DAMAGED', { path: mine.keyFile, reason: 'keys-mismatch' })
    }
  })

  test('F04: the command that helps works as it is printed, and keeps what was there', async () => {
    const { directory, keyFile } = await installed()
    writeFileSync(keyFile, 'no key')
    const failure = await failureOf(() => openIdentity({ directory }))
    expect(failure.detail.fix).toContain(`holdfast id reset --state-dir ${directory}`)
    await resetIdentity({ directory })
    const [aside] = readdirSync(directory).filter(name => name.startsWith('device.old-'))
    expect(readFileSync(join(directory, aside ?? '', 'key.json'), 'utf8')).toBe('no key')
    expect((await openIdentity({ directory })).created).toBe(false)
  })

  test.runIf(process.platform !== 'win32')('H15: a file or directory that others may enter', async () => {
    for (const mode of [0o640, 0o604, 0o620, 0o666, 0o610]) {
      const { directory, keyFile } = await installed()
      chmodSync(keyFile, mode)
      await expectRefused(directory, 'KEY_FILE_EXPOSED', { path: keyFile, mode })
    }
    for (const part of ['.', 'device', '..']) {
      const { directory } = await installed()
      const path = join(directory, part)
      chmodSync(path, 0o777)
      await expectRefused(directory, 'KEY_FILE_EXPOSED', { path, mode: 0o777 })
    }
  })

  test.runIf(asRoot)('H16: a parent that another group may write, sticky directories aside', async () => {
    const { directory, id } = await installed()
    const parent = join(directory, '..')
    chmodSync(parent, 0o770)
    expect((await openIdentity({ directory })).id).toBe(id) // this user's own group
    chownSync(parent, 0, 12345)
    await expectRefused(directory, 'KEY_FILE_EXPOSED', { path: parent, mode: 0o770 })
    chmodSync(parent, 0o1777)
    expect((await openIdentity({ directory })).id).toBe(id)
  })

  test('F25: parents that are missing are no damage: there is no key, and opening makes them', async () => {
    const directory = join(freshFolder(), 'a', 'b', 'c', 'state')
    expect(await findIdentity({ directory })).toBeNull()
    expect((await openIdentity({ directory })).created).toBe(true)
  })

  test.runIf(process.platform !== 'win32')(
    'F34: a file in the place of a parent is said with its errno',
    async () => {
      const folder = freshFolder()
      writeFileSync(join(folder, 'file'), '')
      const failure = await failureOf(() => openIdentity({ directory: join(folder, 'file', 'state') }))
      expect(failure).toMatchObject({ code: 'KEY_FILE_UNREADABLE', detail: { errno: 'ENOTDIR' } })
    },
  )

  test.runIf(process.platform !== 'win32')(
    'H16: a symbolic link in the place of the file, its directory or the state directory',
    async () => {
      for (const part of ['device/key.json', 'device', '.']) {
        const { directory } = await installed()
        const path = join(directory, part)
        const elsewhere = join(freshFolder(), 'elsewhere')
        renameSync(path, elsewhere)
        symlinkSync(elsewhere, path)
        await expectRefused(directory, 'KEY_FILE_LINKED', { path, kind: 'symbolic-link' })
      }
    },
  )

  test.runIf(process.platform !== 'win32')('H16: a link that leads nowhere is not "no key"', async () => {
    const { directory, keyFile } = await installed()
    rmSync(keyFile)
    symlinkSync(join(directory, 'nowhere'), keyFile)
    await expectRefused(directory, 'KEY_FILE_LINKED', { path: keyFile, kind: 'symbolic-link' })
  })

  test('H16: a file with a second name', async () => {
    const { directory, keyFile } = await installed()
    linkSync(keyFile, join(freshFolder(), 'second'))
    await expectRefused(directory, 'KEY_FILE_LINKED', { path: keyFile, kind: 'hard-link' })
  })

  test('F04: a directory in the place of the file', async () => {
    const { directory, keyFile } = await installed()
    rmSync(keyFile)
    mkdirSync(keyFile)
    await expectRefused(directory, 'KEY_FILE_DAMAGED', { path: keyFile, reason: 'not-a-file' })
  })

  test.runIf(process.platform !== 'win32')(
    'F04: a named pipe in the place of the file, which nobody waits for; and a file in the place of its directory',
    async () => {
      const piped = await installed()
      rmSync(piped.keyFile)
      execFileSync('mkfifo', ['-m', '600', piped.keyFile])
      await expectRefused(piped.directory, 'KEY_FILE_DAMAGED', { path: piped.keyFile, reason: 'not-a-file' })
      const filed = await installed()
      const place = join(filed.directory, 'device')
      rmSync(place, { recursive: true })
      writeFileSync(place, 'mine', { mode: 0o600 })
      await expectRefused(filed.directory, 'KEY_FILE_DAMAGED', { path: place, reason: 'not-a-file' })
    },
  )

  test.runIf(asRoot)('C16: a file, a directory or a link of another user', async () => {
    for (const part of ['device/key.json', 'device', '.']) {
      const { directory } = await installed()
      const path = join(directory, part)
      chownSync(path, 12345, 12345)
      await expectRefused(directory, 'KEY_FILE_FOREIGN', { path, ownerUid: 12345, uid: 0 })
    }
  })

  test.runIf(asRoot)('F04: a file that this user may not read', async () => {
    const directory = join(freshFolder(), 'state')
    chmodSync(join(directory, '..'), 0o755)
    const own = { args: [JSON.stringify({ directory, asUid: 12345 })] }
    mkdirSync(directory, { mode: 0o700 })
    chownSync(directory, 12345, 12345)
    expect((await runProgram(opener, own)).answer).toMatchObject({ created: true })
    const path = join(directory, 'device', 'key.json')
    chmodSync(path, 0)
    const before = lookOf(directory)
    expect((await runProgram(opener, own)).answer).toMatchObject({
      code: 'KEY_FILE_UNREADABLE',
      detail: { path, errno: 'EACCES', fix: expect.stringMatching(COMMANDS['KEY_FILE_UNREADABLE'] ?? /^$/) },
    })
    expect(lookOf(directory)).toEqual(before)
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
