import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createEphemeralIdentity, openIdentity } from '@holdfast/identity'
import {
  type GatewayNote,
  locateState,
  publishOnce,
  readGatewayNote,
  readPrivateFile,
  replacePrivateFile,
  type StateLocation,
  withInstallLock,
  writeGatewayNote,
} from '@holdfast/identity/state'
import { describe, expect, test, vi } from 'vitest'
import { startProgram, startTogether } from '../support/processes.ts'
import { ageLock, failureOf, freshFolder, treeOf } from './state-folder.ts'

const publisher = new URL('./programs/publish.ts', import.meta.url)
const holder = new URL('./programs/hold-lock.ts', import.meta.url)
const freshState = (): StateLocation => locateState({ directory: join(freshFolder(), 'state') })
const text = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString()

describe('publishOnce', () => {
  test('publishes the first bytes and leaves them to all who come later', async () => {
    const location = freshState()
    expect(await readPrivateFile(location, 'gateway-token/token')).toBeNull()
    expect(await publishOnce(location, 'gateway-token/token', Buffer.from('first'))).toBe(true)
    expect(await publishOnce(location, 'gateway-token/token', Buffer.from('second'))).toBe(false)
    expect(text(await readPrivateFile(location, 'gateway-token/token'))).toBe('first')
    expect(location.gatewayToken).toBe(join(location.directory, 'gateway-token', 'token'))
    if (process.platform !== 'win32') {
      expect(statSync(location.gatewayToken).mode & 0o777).toBe(0o600)
      expect(statSync(join(location.directory, 'gateway-token')).mode & 0o777).toBe(0o700)
    }
  })

  test('F01: of 32 processes that publish together, one publishes and all read the same', async () => {
    const location = freshState()
    const outcomes = await startTogether(publisher, 32, index => ({
      args: [location.directory, `token ${index}`],
    }))
    const answers = outcomes.map(outcome => outcome.answer as { published: boolean; read: string })
    expect(answers.filter(answer => answer.published)).toHaveLength(1)
    expect(new Set(answers.map(answer => answer.read)).size).toBe(1)
    expect(treeOf(location.directory)).toEqual(['gateway-token', join('gateway-token', 'token')])
  })

  test('says what lies in the way', async () => {
    const location = freshState()
    mkdirSync(join(location.directory, 'gateway-token', 'lost'), { recursive: true, mode: 0o700 })
    const failure = await failureOf(() => publishOnce(location, 'gateway-token/token', Buffer.from('x')))
    expect(failure.code).toBe('KEY_DIRECTORY_OCCUPIED')
    expect(failure.detail).toMatchObject({ entries: ['lost'] })
  })

  test('M20: takes plain names only', async () => {
    const location = freshState()
    for (const path of ['../a/b', 'a/../b', 'a/b/c', '/a', 'A/b', 'a/.b', '.a/b'] as const) {
      await expect(publishOnce(location, path as `${string}/${string}`, Buffer.from(''))).rejects.toThrow(
        TypeError,
      )
    }
  })
})

describe('replacePrivateFile', () => {
  test('puts new bytes in the place of the old ones, and makes nothing where there are none', async () => {
    const location = freshState()
    expect(await replacePrivateFile(location, 'gateway-token/token', Buffer.from('none'))).toBe(false)
    await publishOnce(location, 'gateway-token/token', Buffer.from('old'))
    expect(await replacePrivateFile(location, 'gateway-token/token', Buffer.from('new'))).toBe(true)
    expect(text(await readPrivateFile(location, 'gateway-token/token'))).toBe('new')
    expect(treeOf(location.directory)).toEqual(['gateway-token', join('gateway-token', 'token')])
    if (process.platform !== 'win32') expect(statSync(location.gatewayToken).mode & 0o777).toBe(0o600)
  })

  test('a reader sees the old bytes or the new ones, never a mixture', async () => {
    const location = freshState()
    const [a, b] = ['a'.repeat(4000), 'b'.repeat(4000)]
    await publishOnce(location, 'gateway-token/token', Buffer.from(a))
    const seen = new Set<string | null>()
    const read = async (): Promise<void> => {
      for (let i = 0; i < 100; i++) seen.add(text(await readPrivateFile(location, 'gateway-token/token')))
    }
    const write = async (): Promise<void> => {
      for (let i = 0; i < 50; i++)
        await replacePrivateFile(location, 'gateway-token/token', Buffer.from(i % 2 ? a : b))
    }
    await Promise.all([read(), write(), read(), write()])
    expect([...seen].filter(value => value !== a && value !== b)).toEqual([])
  })

  test('clears what a writer that died has left, once it is old', async () => {
    const location = freshState()
    await publishOnce(location, 'gateway-token/token', Buffer.from('old'))
    const left = join(location.directory, 'gateway-token', '.token.0123456789abcdef')
    writeFileSync(left, 'secret')
    utimesSync(left, 1, 1)
    await replacePrivateFile(location, 'gateway-token/token', Buffer.from('new'))
    expect(existsSync(left)).toBe(false)
  })
})

describe('the gateway note', () => {
  const note: GatewayNote = {
    url: 'ws://127.0.0.1:18789',
    gatewayId: createEphemeralIdentity().id,
    pid: 4711,
    startedAtMs: 1_700_000_000_000,
    store: '/somewhere/store.sqlite',
    protocol: 'holdfast/1',
  }

  test('is read as it was written, the last one wins, and there is none at first', async () => {
    const location = freshState()
    expect(await readGatewayNote(location)).toBeNull()
    await writeGatewayNote(location, note)
    expect(await readGatewayNote(location)).toEqual(note)
    const next: GatewayNote = { ...note, url: 'ws://[::1]:9', store: null, protocol: 'openclaw' }
    await writeGatewayNote(location, next)
    expect(await readGatewayNote(location)).toEqual(next)
    expect(treeOf(location.directory)).toEqual(['gateway.json'])
  })

  test('that was read long after it was written is not read again, until anything about the file changes', async () => {
    const location = freshState()
    const aged = async (): Promise<GatewayNote | null> => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60_000 })
      try {
        return await readGatewayNote(location)
      } finally {
        vi.useRealTimers()
      }
    }
    await writeGatewayNote(location, note)
    const first = await aged()
    expect(await aged()).toBe(first)
    // One that was only just written may be written again without a trace.
    expect(await readGatewayNote(location)).not.toBe(first)

    const { mtime } = statSync(location.gatewayNote)
    const sameLength = { ...note, url: 'ws://127.0.0.1:18790' }
    writeFileSync(location.gatewayNote, `${JSON.stringify(sameLength, null, 2)}\n`)
    utimesSync(location.gatewayNote, mtime, mtime)
    expect(await aged()).toEqual(sameLength)
    await writeGatewayNote(location, note)
    expect(await aged()).toEqual(note)
    if (process.platform === 'win32') return
    chmodSync(location.gatewayNote, 0o666)
    expect((await failureOf(aged)).code).toBe('KEY_FILE_EXPOSED')
  })

  test('that is none counts as absent', async () => {
    const location = freshState()
    await writeGatewayNote(location, note)
    for (const content of [
      '',
      '{',
      '[]',
      'null',
      JSON.stringify({ ...note, url: 'ws://localhost:1' }),
      JSON.stringify({ ...note, url: 'ws://127.0.0.1' }),
      JSON.stringify({ ...note, url: 'ws://user:pass@127.0.0.1:1' }),
      JSON.stringify({ ...note, url: 'ws://127.0.0.1:1/path' }),
      JSON.stringify({ ...note, url: 'http://127.0.0.1:1' }),
      JSON.stringify({ ...note, gatewayId: 'me' }),
      JSON.stringify({ ...note, pid: '4711' }),
      JSON.stringify({ ...note, store: 7 }),
      JSON.stringify({ ...note, protocol: 'holdfast/2' }),
    ]) {
      writeFileSync(location.gatewayNote, content)
      expect(await readGatewayNote(location), content).toBeNull()
    }
  })

  test('that is none is not written', async () => {
    const location = freshState()
    await expect(writeGatewayNote(location, { ...note, url: 'ws://localhost:1' })).rejects.toThrow(TypeError)
  })

  test.runIf(process.platform !== 'win32')('that somebody else could have written is refused', async () => {
    const location = freshState()
    await writeGatewayNote(location, note)
    chmodSync(location.gatewayNote, 0o644)
    expect(await readGatewayNote(location)).toEqual(note)
    chmodSync(location.gatewayNote, 0o666)
    expect((await failureOf(() => readGatewayNote(location))).code).toBe('KEY_FILE_EXPOSED')
    const linked = freshState()
    mkdirSync(linked.directory, { mode: 0o700 })
    symlinkSync(location.gatewayNote, linked.gatewayNote)
    expect((await failureOf(() => readGatewayNote(linked))).code).toBe('KEY_FILE_LINKED')
  })
})

describe('withInstallLock', () => {
  test('lets one in at a time, and leaves nothing behind', async () => {
    const location = freshState()
    let inside = 0
    let most = 0
    await Promise.all(
      Array.from({ length: 8 }, () =>
        withInstallLock(
          location,
          async lock => {
            expect(lock.held).toBe(true)
            inside += 1
            most = Math.max(most, inside)
            await new Promise(resolve => setImmediate(resolve))
            inside -= 1
          },
          { timeoutMs: 60_000 },
        ),
      ),
    )
    expect(most).toBe(1)
    expect(treeOf(location.directory)).toEqual([])
  })

  test('goes on without the lock when the time is up, and says so', async () => {
    const location = freshState()
    await withInstallLock(location, async () => {
      expect(await withInstallLock(location, async lock => lock.held, { timeoutMs: 50 })).toBe(false)
      expect(await withInstallLock(location, async lock => lock.held, { timeoutMs: 0 })).toBe(false)
    })
  })

  test('hands on what the action throws, and lets the next one in', async () => {
    const location = freshState()
    const failure = new Error('mine')
    await expect(withInstallLock(location, () => Promise.reject(failure))).rejects.toBe(failure)
    expect(await withInstallLock(location, async lock => lock.held)).toBe(true)
  })

  test.runIf(process.platform !== 'win32')(
    'F22 F35: a holder that slept through its lock goes on, and ends well',
    async () => {
      const location = freshState()
      const program = startProgram(holder, { args: [location.directory] })
      await program.printed('holding')
      program.kill('SIGSTOP')
      // Stale by its file time: no need to wait for it.
      ageLock(location.directory)
      const { created } = await openIdentity({ directory: location.directory, lockTimeoutMs: 60_000 })
      expect(created).toBe(true)
      program.kill('SIGCONT')
      const { exitCode, answer, stderr } = await program.outcome
      expect({ exitCode, answer, stderr }).toEqual({ exitCode: 0, answer: { held: false }, stderr: '' })
      expect(readFileSync(location.deviceKey, 'utf8')).toContain('holdfast-key')
    },
  )
})
