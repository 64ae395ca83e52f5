import { existsSync, lstatSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { runProgram, startProgram } from '../support/processes.ts'
import { failureOf, freshFolder, treeOf } from './state-folder.ts'

const opener = new URL('./programs/open.ts', import.meta.url)
const preload = (name: string): string => new URL(`./programs/${name}.ts`, import.meta.url).href
const open = (directory: string, more = {}): readonly string[] => [JSON.stringify({ directory, ...more })]

interface Call {
  readonly name: string
  readonly path: string
  readonly to?: string
}

describe('a crash while the key is made', () => {
  test('F46: kill -9 before any file call leaves no key or the whole key, and the next open has one', async () => {
    let ended = false
    let keysSeen = 0
    for (let at = 1; !ended; at++) {
      const directory = join(freshFolder(), 'state')
      const killed = await runProgram(opener, {
        args: open(directory, { sync: true }),
        nodeFlags: ['--import', preload('record-files')],
        env: { HOLDFAST_TEST_ROOT: directory, HOLDFAST_TEST_KILL_AT: String(at) },
      })
      ended = killed.exitCode === 0
      // Windows knows no signals: there the exit code alone says it.
      if (!ended && process.platform !== 'win32') expect(killed.signal).toBe('SIGKILL')
      const path = join(directory, 'device', 'key.json')
      const before = existsSync(path) ? readFileSync(path, 'utf8') : null
      const identity = await openIdentity({ directory, lockTimeoutMs: 50 })
      if (before !== null) {
        keysSeen += 1
        expect(identity.created).toBe(false)
        expect(readFileSync(path, 'utf8')).toBe(before)
      } else {
        expect(identity.created).toBe(true)
      }
      expect(at).toBeLessThan(40)
    }
    expect(keysSeen).toBeGreaterThan(1)
  })

  test.runIf(process.platform !== 'win32')(
    'F46: the key is synced before it is published, and the directories after',
    async () => {
      const folder = freshFolder()
      const directory = join(folder, 'state')
      const record = join(freshFolder(), 'calls.json')
      await runProgram(opener, {
        args: open(directory),
        nodeFlags: ['--import', preload('record-files')],
        env: { HOLDFAST_TEST_ROOT: folder, HOLDFAST_TEST_RECORD: record },
      })
      const calls = JSON.parse(readFileSync(record, 'utf8')) as readonly Call[]
      const published = calls.findIndex(call => call.name === 'renameSync')
      expect(calls[published]?.to).toBe(join(directory, 'device'))
      const privateFolder = calls[published]?.path ?? ''
      const syncedBefore = calls.slice(0, published).filter(call => call.name === 'fsyncSync')
      const syncedAfter = calls.slice(published).filter(call => call.name === 'fsyncSync')
      expect(syncedBefore.map(call => call.path)).toEqual([
        dirname(directory),
        join(privateFolder, 'key.json'),
        privateFolder,
      ])
      expect(syncedAfter.map(call => call.path)).toContain(directory)
    },
  )

  test('F32: under the lock there are a few file calls in the state directory, and nothing else', async () => {
    const folder = freshFolder()
    const directory = join(folder, 'state')
    const [record, modules] = [join(freshFolder(), 'calls.json'), join(freshFolder(), 'modules.json')]
    const args = open(directory)
    const nodeFlags = ['--import', preload('record-files')]
    await runProgram(opener, {
      args,
      nodeFlags,
      env: { HOLDFAST_TEST_ROOT: folder, HOLDFAST_TEST_RECORD: record },
    })
    const calls = JSON.parse(readFileSync(record, 'utf8')) as readonly Call[]
    const isLock = (call: Call): boolean => call.path.endsWith('install.lock')
    const first = calls.findIndex(call => call.name === 'mkdirSync' && isLock(call))
    const last = calls.findLastIndex(call => call.name === 'rmdirSync' && isLock(call))
    const inside = calls.slice(first, last)
    expect(inside.some(call => call.name === 'renameSync')).toBe(true)
    expect(inside.length).toBeLessThan(30)
    expect(inside.filter(call => !call.path.startsWith(directory))).toEqual([])
    // No network, no prompt, no other program: what could do it is not even loaded.
    await runProgram(opener, {
      args: open(join(folder, 'other')),
      fromSources: true,
      nodeFlags: ['--import', preload('record-modules')],
      env: { HOLDFAST_TEST_RECORD: modules },
    })
    expect(readFileSync(modules, 'utf8')).not.toMatch(
      /node:(net|http|dns|tls|child_process|readline)|node_modules/,
    )
  })

  test('F29: a lock that a killed process left behind stops nobody', async () => {
    const directory = freshFolder()
    mkdirSync(join(directory, 'install.lock'))
    const { answer } = await runProgram(opener, { args: open(directory) })
    expect(answer).toMatchObject({ created: true })
  })

  test.runIf(process.platform !== 'win32')(
    'a first start leaves the signals of its host alone: the host ends as it decided',
    async () => {
      const host = new URL('./programs/host-with-signals.ts', import.meta.url)
      const program = startProgram(host, { args: [freshFolder()] })
      await program.printed('created')
      program.kill('SIGTERM')
      expect(await program.outcome).toMatchObject({ exitCode: 0, answer: { handled: 'SIGTERM', added: [] } })
    },
  )

  test('clears what a dead creator left, and leaves what a live one may still hold', async () => {
    const directory = freshFolder()
    const dead = join(directory, '.device.0123456789abcdef')
    const live = join(directory, '.device.fedcba9876543210')
    for (const left of [dead, live]) {
      mkdirSync(left, { mode: 0o700 })
      writeFileSync(join(left, 'key.json'), 'half')
    }
    const longAgo = lstatSync(dead).mtimeMs / 1000 - 3600
    utimesSync(dead, longAgo, longAgo)
    await openIdentity({ directory })
    expect(existsSync(dead)).toBe(false)
    expect(existsSync(live)).toBe(true)
  })
})

describe('a creator whose private directory is cleared, as a dead one’s would be', () => {
  test('makes another, and publishes no empty directory', async () => {
    const directory = join(freshFolder(), 'state')
    const { answer, stderr } = await runProgram(opener, {
      args: open(directory),
      nodeFlags: ['--import', preload('cleared-before-publishing')],
    })
    expect(stderr).toBe('cleared\n')
    expect(answer).toMatchObject({ created: true })
    expect(treeOf(directory)).toEqual(['device', join('device', 'key.json')])
  })
})

describe('a place where no key can be made', () => {
  test('F18: a runtime that signs wrongly leaves nothing behind, and says so', async () => {
    const directory = join(freshFolder(), 'state')
    const { answer } = await runProgram(opener, {
      args: open(directory),
      nodeFlags: ['--import', preload('with-broken-signing')],
    })
    expect(answer).toMatchObject({ code: 'KEY_SELF_TEST_FAILED', detail: { implementation: 'native' } })
    expect(treeOf(directory)).toEqual([])
  })

  test('says what takes the place of the key, and touches none of it', async () => {
    const directory = freshFolder()
    mkdirSync(join(directory, 'device'), { mode: 0o700 })
    writeFileSync(join(directory, 'device', 'notes.txt'), 'mine')
    const failure = await failureOf(() => openIdentity({ directory }))
    expect(failure.code).toBe('KEY_DIRECTORY_OCCUPIED')
    expect(failure.detail).toMatchObject({ path: join(directory, 'device'), entries: ['notes.txt'] })
    expect(treeOf(directory)).toEqual(['device', join('device', 'notes.txt')])
  })

  test('takes an empty directory in the place of the key for no key', async () => {
    const directory = freshFolder()
    mkdirSync(join(directory, 'device'), { mode: 0o700 })
    expect((await openIdentity({ directory })).created).toBe(true)
  })

  test('ends the wait for another creator when the signal says so, with its reason', async () => {
    const directory = freshFolder()
    mkdirSync(join(directory, 'install.lock'))
    const reason = new Error('enough')
    const controller = new AbortController()
    const opening = openIdentity({ directory, signal: controller.signal, lockTimeoutMs: 60_000 })
    controller.abort(reason)
    await expect(opening).rejects.toBe(reason)
    expect(treeOf(directory)).toEqual(['install.lock'])
  })
})
