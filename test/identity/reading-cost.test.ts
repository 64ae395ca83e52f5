import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { freshFolder } from './state-folder.ts'

const opener = fileURLToPath(new URL('./programs/open.ts', import.meta.url))
const bare = fileURLToPath(new URL('./programs/nothing.ts', import.meta.url))
const preload = new URL('./programs/record-modules.ts', import.meta.url).href

const hasStrace = spawnSync('strace', ['-V'], { stdio: 'ignore' }).status === 0
if (!hasStrace && process.env['HOLDFAST_NEED_STRACE'] === '1') {
  throw new Error('strace is needed here: apt-get install strace')
}

/** Every call by which a process changes a file system, or opens a file to do so (a directory's `open` included). */
const CHANGING =
  'write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,fsync,fdatasync,sync_file_range,syncfs,fallocate,truncate,ftruncate,' +
  'rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,mknod,mknodat,' +
  'chmod,fchmod,fchmodat,chown,fchown,fchownat,lchown,utime,utimes,utimensat,futimesat,flock,setxattr,fsetxattr,lsetxattr,open,openat,openat2,creat'

/** What the program and all its threads changed, or opened to change, as lines of strace; pipes to us left out. */
function changesOf(program: string, args: readonly string[]): readonly string[] {
  const log = join(freshFolder(), 'strace')
  execFileSync(
    'strace',
    [
      '-f',
      '-y',
      '-qq',
      '-o',
      log,
      '-e',
      `trace=${CHANGING}`,
      process.execPath,
      '--conditions=source',
      '--no-warnings',
      program,
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, NODE_COMPILE_CACHE: undefined } },
  )
  return readFileSync(log, 'utf8')
    .split('\n')
    .filter(line => line !== '' && !/<... .* resumed>/.test(line))
    .filter(line => !/\b(open|openat|openat2)\(/.test(line) || /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC/.test(line))
    .filter(line => !/\b(write|writev)\(\d+<(pipe|anon_inode|socket):/.test(line))
    .filter(line => !/"\/dev\/|<\/dev\//.test(line))
}

describe.skipIf(!hasStrace)('opening an identity that is there (needs strace)', () => {
  test.each([true, false])(
    'F81 F06: makes not one writing system call, in any thread (sync: %s)',
    async sync => {
      const directory = join(freshFolder(), 'state')
      await openIdentity({ directory })
      expect(changesOf(opener, [JSON.stringify({ directory, sync })])).toEqual([])
    },
  )

  test('F81: makes no more of them than a program that does nothing', () => {
    expect(changesOf(bare, [])).toEqual([])
  })

  test('F81: the count does see a first start (negative control)', () => {
    const directory = join(freshFolder(), 'state')
    const changes = changesOf(opener, [JSON.stringify({ directory, sync: true })])
    expect(changes.filter(line => line.includes(directory)).length).toBeGreaterThan(5)
    expect(changes.some(line => line.includes('key.json') && line.includes('write'))).toBe(true)
  })
})

describe('opening an identity that is there', () => {
  test('loads no lock library, no portable cryptography and no child processes', async () => {
    const directory = join(freshFolder(), 'state')
    await openIdentity({ directory })
    const record = join(freshFolder(), 'modules.json')
    await runProgram(new URL('./programs/open.ts', import.meta.url), {
      args: [JSON.stringify({ directory, sync: true })],
      nodeFlags: ['--import', preload],
      fromSources: true,
      env: { HOLDFAST_TEST_RECORD: record },
    })
    const loaded = JSON.parse(readFileSync(record, 'utf8')) as readonly string[]
    expect(loaded.filter(url => /lockfile|noble|node_modules|node:child_process|node:net/.test(url))).toEqual(
      [],
    )
  })
})
