import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { leaveDelegation, spawnAgent } from '@holdfast/spawner'
import { describe, expect, onTestFinished, test } from 'vitest'
import { program, reporting, startInstall } from './gateway.ts'

const WISH = { scopes: ['operator.read'] }
const QUIET = { stdio: ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'] }
const NOBODY = 65_534
const NO_HOME = { PATH: process.env['PATH'] }

/** Runs what follows where an empty file system lies over the state directory. */
const IN_NAMESPACE = [
  '--user',
  '--map-root-user',
  '--mount',
  'sh',
  '-c',
  'mount -t tmpfs none "$0" && exec "$@"',
]

function reasonOf(tried: SpawnSyncReturns<string>): string | null {
  return tried.status === 0
    ? null
    : `${tried.error?.message ?? ''}${tried.stderr ?? ''}`.trim() || 'it failed'
}

function whyNoNamespace(): string | null {
  const folder = mkdtempSync(join(tmpdir(), 'namespace-'))
  const tried = spawnSync('unshare', [...IN_NAMESPACE, folder, 'true'], { encoding: 'utf8' })
  rmSync(folder, { recursive: true })
  return reasonOf(tried)
}

function whyNoOtherUser(): string | null {
  if (process.getuid?.() !== 0) return 'giving up root takes root'
  const [file = ''] = program('child').slice(-1)
  const script = `require('node:fs').readFileSync(${JSON.stringify(file)})`
  return reasonOf(
    spawnSync(process.execPath, ['--eval', script], { uid: NOBODY, gid: NOBODY, encoding: 'utf8' }),
  )
}

describe.skipIf(process.platform !== 'linux')('a child that cannot see the state directory', () => {
  test('in a mount namespace of its own, without a home, connects by its delegation', async ({ skip }) => {
    const reason = whyNoNamespace()
    if (reason !== null) skip(`no user or mount namespace here: ${reason}`)
    const { identity, directory, store } = await startInstall()
    const args = [...IN_NAMESPACE, directory, process.execPath, ...program('child'), 'look', directory]
    const child = spawnAgent('unshare', args, { identity, ...WISH, ...QUIET, env: NO_HOME })
    const reporter = reporting(child)
    expect(await reporter.next()).toEqual({ keyIsSeen: false })
    expect(await reporter.next()).toMatchObject({ deviceId: identity.id, scopes: ['operator.read'] })
    expect((await store.listDevices()).items.length).toBe(1)
  })

  test('as another user connects by its delegation, over the pipe and by a file that is its own', async ({
    skip,
  }) => {
    const reason = whyNoOtherUser()
    if (reason !== null) skip(`no other user here: ${reason}`)
    const { identity, directory, store } = await startInstall()
    const other = { uid: NOBODY, gid: NOBODY, cwd: '/', env: NO_HOME, ...QUIET }
    const overPipe = spawnAgent(process.execPath, [...program('child'), 'look', directory], {
      identity,
      ...WISH,
      ...other,
    })
    const folder = mkdtempSync(join(tmpdir(), 'left-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    chmodSync(folder, 0o700)
    chownSync(folder, NOBODY, NOBODY)
    const left = leaveDelegation({ identity, ...WISH, path: join(folder, 'delegation'), ownerUid: NOBODY })
    const env = { ...NO_HOME, ...left.environment }
    const byFile = spawn(process.execPath, [...program('child'), 'look', directory], { ...other, env })
    for (const reporter of [reporting(overPipe), reporting(byFile)]) {
      expect(await reporter.next()).toEqual({ keyIsSeen: false })
      expect(await reporter.next()).toMatchObject({ deviceId: identity.id, scopes: ['operator.read'] })
    }
    expect((await store.listDevices()).items.length).toBe(1)
  })

  test('of the same user, where nothing hides the directory, the key is seen: that is what the above closes', async () => {
    const { identity, directory } = await startInstall()
    const child = spawnAgent(process.execPath, [...program('child'), 'look', directory], {
      identity,
      ...WISH,
      ...QUIET,
    })
    expect(await reporting(child).next()).toEqual({ keyIsSeen: true })
  })
})
