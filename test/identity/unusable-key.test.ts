import { execFileSync } from 'node:child_process'
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
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { findIdentity, openIdentity, openIdentitySync, resetIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { failureOf, freshFolder, installed, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open.ts', import.meta.url)
const asRoot = process.geteuid?.() === 0

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
