import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, inject, test } from 'vitest'

import { FOLDERS, type Manifest, manifestOf, readPacked, tarballName } from './packed.ts'
import { runProgram, runTool, TOP } from './programs.ts'

/** What a package has to say beside its README. */
const PAGES: readonly (readonly [string, readonly string[]])[] = [
  ['handshake', ['PROTOCOL.md']],
  ['spawner', ['DELEGATION.md']],
]

const tarballOf = (folder: string) => join(inject('tarballs'), tarballName(folder))

/** What only the workspace can make sense of. */
const unresolved = (manifest: Manifest): string[] =>
  Object.entries({ ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies })
    .filter(([, range]) => /^(workspace|catalog|link|file):/.test(range))
    .map(([name]) => name)

/** Every file that an exports map names, whatever the condition. */
const targetsOf = (exports: Manifest['exports']): string[] =>
  Object.values(exports).flatMap(target => (typeof target === 'string' ? [target] : Object.values(target)))

describe.each(FOLDERS)('the tarball of %s', folder => {
  test('has the licence, the README, and nothing but dist beside them', () => {
    const { files } = readPacked(tarballOf(folder))
    const names = [...files.keys()].filter(name => !name.startsWith('dist/')).sort()
    const page = PAGES.find(([name]) => folder.endsWith(name))?.[1] ?? []
    expect(names).toEqual(['LICENSE', 'README.md', 'package.json', ...page].sort())
    expect(files.get('LICENSE')).toContain('MIT License')
  })

  test('says what it is: ESM, free of side effects, MIT, Node from 22.16', () => {
    const { manifest } = readPacked(tarballOf(folder))
    expect(manifest).toMatchObject({
      type: 'module',
      sideEffects: false,
      license: 'MIT',
      engines: { node: '>=22.16' },
    })
  })

  test('names versions that a registry knows, and only files that it holds', () => {
    const { files, manifest } = readPacked(tarballOf(folder))
    expect(unresolved(manifest)).toEqual([])
    const named = [...targetsOf(manifest.exports), ...Object.values(manifest.bin ?? {})]
    expect(named.filter(path => !files.has(path.replace('./', '')))).toEqual([])
  })

  test('has the entries of the repository, types first, without the condition for sources', () => {
    const { manifest } = readPacked(tarballOf(folder))
    expect(Object.keys(manifest.exports)).toEqual(Object.keys(manifestOf(folder).exports))
    for (const target of Object.values(manifest.exports)) {
      if (typeof target !== 'string') expect(Object.keys(target)).toEqual(['types', 'default'])
    }
  })

  test('is the same, byte for byte, when it is built again', async () => {
    const [first, second] = await Promise.all(
      [inject('tarballs'), inject('tarballsAgain')].map(each => readFile(join(each, tarballName(folder)))),
    )
    expect(first?.equals(second ?? Buffer.alloc(0))).toBe(true)
  })

  test('is clean to publint, strictly', async () => {
    const { stdout } = await runTool('publint', ['run', '--strict', '--pack', 'false', tarballOf(folder)])
    expect(stdout).toContain('All good!')
  })

  test('is clean to attw, as ESM only; a command line has no types to look at', async () => {
    const { stdout } = await runTool('attw', [tarballOf(folder), '--profile', 'esm-only', '--format', 'json'])
    const { packageName, types } = JSON.parse(stdout).analysis
    const { name, exports } = manifestOf(folder)
    expect({ packageName, types }).toEqual({
      packageName: name,
      types: '.' in exports && { kind: 'included' },
    })
  })
})

test('npm pack makes a tarball that nobody can install, and these checks see it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-npm-pack-'))
  try {
    const cwd = join(TOP, 'packages', 'gateway')
    await runProgram('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd })
    const { files, manifest } = readPacked(join(folder, tarballName('gateway')))
    expect(unresolved(manifest)).toContain('@holdfast/identity')
    expect(targetsOf(manifest.exports).filter(path => !files.has(path.replace('./', '')))).toEqual([
      './src/index.ts',
    ])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
