import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { attempt, newToken, REMOTE } from './attempts.ts'
import { WRITER } from './contract/open-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-failures-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

let places = 0
function newPath(): string {
  places += 1
  const place = join(directory, `place-${places}`)
  mkdirSync(place, { mode: 0o700 })
  return join(place, 'store.sqlite')
}

async function populated(path: string): Promise<{ readonly store: PairingStore; readonly token: string }> {
  const store = await openSqliteStore({ path })
  const token = newToken()
  await store.putGatewayToken(token)
  return { store, token }
}

const isLinux = process.platform === 'linux'
const isRoot = process.getuid?.() === 0

/** A file system of this size, in memory, until the test is over; `false` where none can be had. */
function mountTiny(place: string, size: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=0700,size=${size}`, 'tmpfs', place], {
      stdio: 'ignore',
    })
  } catch {
    return false
  }
  onTestFinished(() => void execFileSync('umount', ['--lazy', place]))
  return true
}

describe('a store that cannot be read', () => {
  test.runIf(isLinux)('EIO: is told, and is not taken for none', async () => {
    // A regular file of this process's own whose first byte cannot be read.
    const path = '/proc/self/mem'
    await expect(openSqliteStore({ path })).rejects.toMatchObject({
      code: 'STORE_UNREADABLE',
      detail: { path, reason: 'io' },
    })
  })

  // For root every file is readable, so that it takes another user to see this.
  test.runIf(isLinux && isRoot)('permission: is told, and the bytes stay', async () => {
    const path = newPath()
    const { store } = await populated(path)
    await store.close()
    const before = readFileSync(path)
    const nobody = 65_534
    for (const each of [path, dirname(path)]) chownSync(each, nobody, nobody)
    chmodSync(path, 0o000)
    chmodSync(directory, 0o711)
    process.seteuid?.(nobody)
    // The checks of owners ask for the real user.
    const getuid = process.getuid
    process.getuid = () => nobody
    try {
      await expect(openSqliteStore({ path })).rejects.toMatchObject({
        code: 'STORE_UNREADABLE',
        detail: { path, reason: 'permission' },
      })
    } finally {
      process.seteuid?.(0)
      if (getuid !== undefined) process.getuid = getuid
    }
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('damage in its midst: nobody is admitted or registered, and the bytes stay', async () => {
    const path = newPath()
    const { store, token } = await populated(path)
    const identity = createEphemeralIdentity()
    await store.admit(attempt({ identity, token }))
    await store.close()
    const database = new DatabaseSync(path)
    const { rootpage } =
      database.prepare(`SELECT rootpage FROM sqlite_master WHERE name = 'device'`).get() ?? {}
    const size = Number(database.prepare('PRAGMA page_size').get()?.['page_size'])
    database.close()
    const file = openSync(path, 'r+')
    writeSync(file, Buffer.alloc(size, 0xa5), 0, size, (Number(rootpage) - 1) * size)
    closeSync(file)
    const before = readFileSync(path)
    const damaged = await openSqliteStore({ path })
    const unreadable = { code: 'STORE_UNREADABLE', detail: { path, reason: 'damaged' } }
    for (const known of [identity, createEphemeralIdentity()]) {
      await expect(damaged.admit(attempt({ identity: known, token }))).rejects.toMatchObject(unreadable)
      await expect(damaged.admit(attempt({ identity: known, origin: REMOTE }))).rejects.toMatchObject(
        unreadable,
      )
    }
    await expect(damaged.listDevices()).rejects.toMatchObject(unreadable)
    await expect(damaged.revokeDevice(identity.id, WRITER)).rejects.toMatchObject(unreadable)
    await damaged.close()
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('a file that lost its end is damage, never fewer devices', async () => {
    const path = newPath()
    const { store, token } = await populated(path)
    for (let index = 0; index < 200; index += 1) {
      await store.registerLocal({
        identity: createEphemeralIdentity(),
        gatewayToken: token,
        role: 'operator',
      })
    }
    await store.close()
    const whole = readFileSync(path)
    for (const part of [0.25, 0.5, 0.9]) {
      const cut = whole.subarray(0, Math.floor((whole.length * part) / 4_096) * 4_096)
      writeFileSync(path, cut)
      const answer = await openSqliteStore({ path })
        .then(
          async opened => {
            try {
              return (await opened.listDevices({ limit: 1_000 })).items.length
            } finally {
              await opened.close()
            }
          },
          (error: unknown) => error,
        )
        .catch((error: unknown) => error)
      expect(answer).toMatchObject({ code: 'STORE_UNREADABLE', detail: { reason: 'damaged' } })
      expect(readFileSync(path).equals(cut)).toBe(true)
    }
  })
})

describe('a store that cannot be written', () => {
  test.runIf(isLinux && isRoot)(
    'disk full: the change is refused and nothing of it made; who is known is let in; it goes on when there is room',
    async context => {
      const path = newPath()
      if (!mountTiny(dirname(path), '2m')) context.skip()
      const { store, token } = await populated(path)
      const identity = createEphemeralIdentity()
      await store.admit(attempt({ identity, token }))
      const filler = join(dirname(path), 'filler')
      fill(filler)
      const full = { code: 'STORE_WRITE_FAILED', detail: { path, reason: 'disk-full' } }
      const acknowledged: string[] = [identity.id]
      const refused: string[] = []
      // What is left of the page that is being written may still take some.
      for (let index = 0; index < 200 && refused.length < 5; index += 1) {
        const fresh = createEphemeralIdentity()
        await store.admit(attempt({ identity: fresh, token })).then(
          () => acknowledged.push(fresh.id),
          (error: unknown) => {
            expect(error).toMatchObject(full)
            refused.push(fresh.id)
          },
        )
      }
      expect(refused).toHaveLength(5)
      expect(await store.admit(attempt({ identity }))).toMatchObject({ outcome: 'admitted' })
      const devices = async () =>
        (await store.listDevices({ limit: 1_000 })).items.map(each => each.deviceId as string)
      expect((await devices()).sort()).toEqual(acknowledged.sort())
      rmSync(filler)
      await store.revokeDevice(identity.id, WRITER)
      expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact' })
      await store.close()
      const again = await openSqliteStore({ path })
      expect((await again.findDevice(identity.id))?.trust).toBe('revoked')
      await again.close()
    },
  )

  test.runIf(isLinux && isRoot)(
    'disk full: no half of a new store is left, and none is taken for a store',
    async context => {
      const path = newPath()
      if (!mountTiny(dirname(path), '64k')) context.skip()
      await expect(openSqliteStore({ path })).rejects.toMatchObject({
        code: 'STORE_WRITE_FAILED',
        detail: { path, reason: 'disk-full' },
      })
      expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
    },
  )

  test.runIf(isLinux && isRoot)(
    'read-only: a new store is refused as such, an old one by a typed error',
    async context => {
      const path = newPath()
      if (!mountTiny(dirname(path), '2m')) context.skip()
      const { store } = await populated(path)
      await store.close()
      const before = readFileSync(path)
      execFileSync('mount', ['-o', 'remount,ro', dirname(path)])
      await expect(openSqliteStore({ path })).rejects.toMatchObject({ name: 'PairingStoreError' })
      expect(readFileSync(path).equals(before)).toBe(true)
      const other = join(dirname(path), 'other.sqlite')
      await expect(openSqliteStore({ path: other })).rejects.toMatchObject({
        code: 'STORE_WRITE_FAILED',
        detail: { path: other, reason: 'read-only' },
      })
    },
  )

  test('EBUSY: others that write for longer than one waits are told of, and nothing is written', async () => {
    const path = newPath()
    const { store, token } = await populated(path)
    await store.close()
    const impatient = await openSqliteStore({ path, busyTimeoutMs: 50 })
    const other = new DatabaseSync(path)
    other.exec('BEGIN IMMEDIATE')
    const fresh = createEphemeralIdentity()
    const busy = { code: 'STORE_BUSY', detail: { path } }
    await expect(impatient.admit(attempt({ identity: fresh, token }))).rejects.toMatchObject(busy)
    await expect(impatient.putGatewayToken(newToken())).rejects.toMatchObject(busy)
    other.exec('ROLLBACK')
    other.close()
    expect(await impatient.findDevice(fresh.id)).toBeNull()
    expect((await impatient.findAuditHead()).sequence).toBe(1)
    await impatient.close()
  })
})

/** Takes all the room that there is. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (let size = 65_536; size >= 512; size /= 2) {
      const block = Buffer.alloc(size)
      while (fits(file, block));
    }
  } finally {
    closeSync(file)
  }
}

function fits(file: number, block: Buffer): boolean {
  try {
    return writeSync(file, block) === block.length
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false
    throw error
  }
}
