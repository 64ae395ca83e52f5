import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { openIdentity, openIdentitySync, verifySignature } from '@holdfast/identity'
import { locateState, publishOnce, replacePrivateFile } from '@holdfast/identity/state'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runProgram, startProgram } from '../support/processes.ts'
import { failureOf, freshFolder, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open.ts', import.meta.url)
const holder = new URL('./programs/hold-lock.ts', import.meta.url)

const canMount = ((): boolean => {
  const folder = freshMountPoint()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' })
    execFileSync('umount', [folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})()

const long = process.env['HOLDFAST_LONG'] !== undefined

function freshMountPoint(): string {
  return execFileSync('mktemp', ['-d'], { encoding: 'utf8' }).trim()
}

/** A small disk of its own, gone with the test. */
function smallDisk(options = 'size=64k'): string {
  const folder = freshFolder()
  execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=0755,${options}`, 'tmpfs', folder])
  onTestFinished(() => void execFileSync('umount', ['-l', folder]))
  return folder
}

function fill(folder: string): string {
  const path = join(folder, 'full')
  for (let bytes = 64 * 1024; bytes > 0; bytes >>= 1) {
    try {
      writeFileSync(path, Buffer.alloc(bytes), { flag: 'a' })
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' })
    }
  }
  return path
}

async function timed(
  directory: string,
  more = {},
): Promise<{ id?: string; created?: boolean; tookMs: number }> {
  const { answer } = await runProgram(opener, { args: [JSON.stringify({ directory, ...more })] })
  return answer as { tookMs: number }
}

describe.skipIf(!canMount)('a disk (needs root, to mount small ones)', () => {
  test.each([true, false])(
    'F81: that is full is said, nothing is left, and the next open goes on (sync: %s)',
    async sync => {
      const disk = smallDisk()
      const directory = join(disk, 'state')
      mkdirSync(directory, { mode: 0o700 })
      const filling = fill(disk)
      const answer = await timed(directory, { sync })
      expect(answer).toMatchObject({
        code: 'STATE_NOT_WRITABLE',
        detail: { errno: 'ENOSPC', path: directory, fix: expect.stringContaining('df ') },
      })
      expect(answer.tookMs).toBeLessThan(5_000)
      expect(treeOf(directory)).toEqual([])
      unlinkSync(filling)
      expect(await timed(directory, { sync })).toMatchObject({ created: true })
    },
  )

  test('F81: that has no room for one more file says so as well', async () => {
    const disk = smallDisk('size=64k,nr_inodes=4')
    const directory = join(disk, 'state')
    const failure = await failureOf(() => openIdentity({ directory }))
    expect(failure).toMatchObject({ code: 'STATE_NOT_WRITABLE', detail: { errno: 'ENOSPC' } })
    expect(treeOf(directory).filter(name => name.includes('key.json'))).toEqual([])
  })

  test('F81: that is mounted read-only serves a key that is there', async () => {
    const disk = smallDisk()
    const directory = join(disk, 'state')
    const { id } = await openIdentity({ directory })
    execFileSync('mount', ['-o', 'remount,ro', disk])
    for (const identity of [await openIdentity({ directory }), openIdentitySync({ directory })]) {
      const message = Buffer.from('still able to sign')
      expect(identity.id).toBe(id)
      expect(verifySignature(identity.publicKey, message, identity.sign(message))).toBe(true)
    }
  })

  test('F81: that is mounted read-only and holds no key is said: no throw-away identity', async () => {
    const disk = smallDisk()
    const present = join(disk, 'present')
    mkdirSync(present, { mode: 0o700 })
    execFileSync('mount', ['-o', 'remount,ro', disk])
    for (const directory of [present, join(disk, 'absent', 'state')]) {
      for (const sync of [true, false]) {
        const answer = await timed(directory, { sync })
        expect(answer).toMatchObject({ code: 'STATE_NOT_WRITABLE', detail: { errno: 'EROFS' } })
        expect(answer.tookMs).toBeLessThan(5_000)
      }
    }
  })
})

describe('what somebody left behind', () => {
  const HEX = '0123456789abcdef'
  /** Every name that the library gives to something passing, under a state directory. */
  const passing: readonly string[] = [
    'install.lock/',
    `install.lock/${HEX}`,
    `.device.${HEX}/`,
    `.device.${HEX}/key.json`,
    `.device.${HEX}.left/key.json`,
    `.gateway.${HEX}/key.json`,
    `.gateway-token.${HEX}/token`,
    `.gateway.json.${HEX}`,
    `gateway-token/.token.${HEX}`,
  ]

  function leave(directory: string, name: string, agedMs: number): string {
    const path = join(directory, name)
    mkdirSync(name.endsWith('/') ? path : join(path, '..'), { recursive: true, mode: 0o700 })
    if (!name.endsWith('/')) writeFileSync(path, 'half', { mode: 0o600 })
    const at = (Date.now() - agedMs) / 1000
    for (let each = path; each.length > directory.length; each = join(each, '..')) utimesSync(each, at, at)
    return path
  }

  async function useEverything(directory: string): Promise<void> {
    const location = locateState({ directory })
    expect((await openIdentity({ directory })).created).toBe(true)
    expect((await openIdentity({ directory, name: 'gateway' })).created).toBe(true)
    if (!existsSync(location.gatewayToken))
      expect(await publishOnce(location, 'gateway-token/token', Buffer.from('a'))).toBe(true)
    expect(await replacePrivateFile(location, 'gateway-token/token', Buffer.from('b'))).toBe(true)
  }

  test.each(passing)(
    'F29: %s, an hour old, is in nobody’s way, and is cleared by who makes its like',
    async name => {
      const directory = join(freshFolder(), 'state')
      mkdirSync(directory, { mode: 0o700 })
      if (name.startsWith('gateway-token/'))
        await publishOnce(locateState({ directory }), 'gateway-token/token', Buffer.from('old'))
      const left = leave(directory, name, 3_600_000)
      await useEverything(directory)
      // A note's left-over is cleared with the next note.
      expect(existsSync(left)).toBe(name.startsWith('.gateway.json'))
    },
  )

  test.each(passing)(
    'F29: %s, of this moment, is left to its owner and delays nobody by five seconds',
    async name => {
      const directory = join(freshFolder(), 'state')
      mkdirSync(directory, { mode: 0o700 })
      const left = leave(directory, name, 0)
      const answer = await timed(directory)
      expect(answer.created).toBe(true)
      expect(answer.tookMs).toBeLessThan(5_000)
      expect(existsSync(left)).toBe(!name.startsWith('install.lock'))
    },
  )

  const obstacles: readonly ((lock: string) => void)[] = [
    lock => writeFileSync(lock, 'mine'),
    lock => symlinkSync('nowhere', lock),
    lock => {
      const beside = join(lock, '..', '..', 'beside')
      mkdirSync(beside)
      writeFileSync(join(beside, HEX), 'mine')
      symlinkSync(beside, lock)
    },
    lock => {
      mkdirSync(join(lock, 'more'), { recursive: true })
      writeFileSync(join(lock, 'notes'), 'mine')
    },
  ]

  test('F35 H17: a file, a link or a foreign directory in the place of the lock costs time and nothing else', async () => {
    const openPast = async (plant: (lock: string) => void): Promise<void> => {
      const directory = join(freshFolder(), 'state')
      mkdirSync(directory, { mode: 0o700 })
      const lock = join(directory, 'install.lock')
      plant(lock)
      const [before, around] = [treeOf(directory), treeOf(join(directory, '..'))]
      const answer = await timed(directory)
      expect(answer.created).toBe(true)
      expect(answer.tookMs).toBeLessThan(5_000)
      const made = ['device', join('device', 'key.json')]
      expect(treeOf(directory)).toEqual([...made, ...before])
      expect(treeOf(join(directory, '..'))).toEqual(
        [...around, ...made.map(name => join('state', name))].sort(),
      )
    }
    await Promise.all(obstacles.map(openPast))
  })
})

describe('a holder of the lock', () => {
  test('F22 F23: that is stopped is taken over; it wakes to a lock lost, and nothing breaks', async () => {
    const directory = join(freshFolder(), 'state')
    const program = startProgram(holder, { args: [directory] })
    await program.printed('holding')
    program.kill('SIGSTOP')
    const answer = await timed(directory)
    expect(answer.created).toBe(true)
    expect(answer.tookMs).toBeLessThan(5_000)
    program.kill('SIGCONT')
    const { exitCode, answer: end, stderr } = await program.outcome
    expect({ exitCode, end, stderr }).toEqual({ exitCode: 0, end: { held: false }, stderr: '' })
    expect((await openIdentity({ directory })).id).toBe(answer.id)
  })

  test('F22: whose event loop is blocked is taken over as well, and goes on with its work as if nothing were', async () => {
    const [directory, done] = [join(freshFolder(), 'state'), join(freshFolder(), 'done')]
    const program = startProgram(holder, { args: [directory, done] })
    await program.printed('holding')
    const answer = await timed(directory)
    expect(answer.created).toBe(true)
    expect(answer.tookMs).toBeLessThan(5_000)
    writeFileSync(done, '')
    const { exitCode, answer: end, stderr } = await program.outcome
    expect({ exitCode, end, stderr }).toEqual({ exitCode: 0, end: { held: false }, stderr: '' })
    expect((await openIdentity({ directory })).id).toBe(answer.id)
  })

  test('F23 F24: that is alive is not taken over, however coarse or wrong the times of its files are', async () => {
    const directory = join(freshFolder(), 'state')
    const program = startProgram(holder, { args: [directory] })
    await program.printed('holding')
    const lock = join(directory, 'install.lock')
    const nowSeconds = Date.now() / 1000
    const times = [nowSeconds - 30, nowSeconds - 2, nowSeconds + 30].slice(0, long ? 3 : 1)
    for (const at of times) {
      utimesSync(lock, at, at)
      // Longer than a dead holder is waited for.
      expect((await timed(directory, { name: 'gateway', lockTimeoutMs: 2_400 })).tookMs).toBeGreaterThan(
        2_300,
      )
      rmSync(join(directory, 'gateway'), { recursive: true })
    }
    program.kill('SIGUSR2')
    expect((await program.outcome).answer).toEqual({ held: true })
  })

  test('F35: that cannot give it back has its key all the same', async () => {
    const directory = join(freshFolder(), 'state')
    const stuck =
      'data:text/javascript,' +
      encodeURIComponent(`
      import fs from 'node:fs'
      import { syncBuiltinESMExports } from 'node:module'
      const { rmdirSync, unlinkSync } = fs
      const refuse = call => (path, ...rest) => {
        if (!String(path).includes('install.lock')) return call(path, ...rest)
        throw Object.assign(new Error('EPERM'), { code: 'EPERM' })
      }
      fs.rmdirSync = refuse(rmdirSync)
      fs.unlinkSync = refuse(unlinkSync)
      syncBuiltinESMExports()`)
    const first = await runProgram(opener, {
      args: [JSON.stringify({ directory })],
      nodeFlags: ['--import', stuck],
    })
    expect(first).toMatchObject({ exitCode: 0, stderr: '', answer: { created: true } })
    expect(existsSync(join(directory, 'install.lock'))).toBe(true)
    const next = await timed(directory, { name: 'gateway' })
    expect(next.created).toBe(true)
    expect(next.tookMs).toBeLessThan(5_000)
    expect(existsSync(join(directory, 'install.lock'))).toBe(false)
  })

  test('F15: of one profile or directory holds up no other', async () => {
    const [first, second] = [join(freshFolder(), 'state'), join(freshFolder(), 'state')]
    const program = startProgram(holder, { args: [first] })
    await program.printed('holding')
    expect(await timed(second)).toMatchObject({ created: true, tookMs: expect.toSatisfy(ms => ms < 1_000) })
    program.kill('SIGUSR2')
    await program.outcome
  })
})

test.runIf(process.geteuid?.() === 0)('F78: a state directory that may only be read is said', async () => {
  const directory = freshFolder()
  chmodSync(directory, 0o755)
  const { answer } = await runProgram(opener, { args: [JSON.stringify({ directory, asUid: 12345 })] })
  expect(answer).toMatchObject({
    code: 'STATE_NOT_WRITABLE',
    detail: {
      path: directory,
      errno: 'EACCES',
      ownerUid: 0,
      uid: 12345,
      fix: expect.stringContaining("sudo -u '#0'"),
    },
  })
  expect(treeOf(directory)).toEqual([])
})
