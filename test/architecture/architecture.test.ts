import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ENTRIES } from './entries.ts'
import { codeOf, exportsOf, importsOf, packageFolders, type SourceFile, sourcesOf, TOP } from './workspace.ts'

/** Which packages each may import: the arrows. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  identity: [],
  handshake: ['identity'],
  'pairing-store': ['identity', 'handshake'],
  gateway: ['identity', 'handshake', 'pairing-store'],
  spawner: ['identity', 'handshake'],
  openclaw: ['identity', 'handshake', 'spawner'],
  cli: ['identity', 'handshake', 'pairing-store', 'gateway', 'spawner', 'openclaw'],
}

const IDENTITY = 'packages/identity/src/internal/surroundings.ts'
const OPENCLAW = 'packages/openclaw/src/internal/surroundings.ts'
const SPAWNER = 'packages/spawner/src/internal/surroundings.ts'

/** What a file may touch of the world outside only if it is named here. */
const OWNED: readonly { readonly what: string; readonly use: RegExp; readonly owners: readonly string[] }[] =
  [
    {
      what: 'the environment',
      use: /\bprocess\s*\.\s*env\b/,
      owners: [IDENTITY, OPENCLAW, SPAWNER, 'packages/spawner/src/spawn-agent.ts'],
    },
    {
      what: 'the home folder',
      use: /\b(homedir|userInfo)\b|\benvPaths\s*\(/,
      owners: [IDENTITY, OPENCLAW],
    },
    {
      what: 'the clock',
      use: /\bDate\s*\.\s*now\b|\bnew Date\s*\(\s*\)|\bperformance\s*\.\s*now\b|\bhrtime\b/,
      owners: [
        IDENTITY,
        OPENCLAW,
        SPAWNER,
        'packages/pairing-store/src/internal/machine-clock.ts',
        'packages/gateway/src/clock.ts',
        'packages/cli/src/clock.ts',
      ],
    },
  ]

/** What a package declares for those below it, whose users are to supply it: the command line is such a user. */
const HANDED_DOWN: Readonly<Record<string, readonly string[]>> = { cli: ['pg'] }

function stray(file: SourceFile, folder: string): string[] {
  const allowed = ARROWS[folder] ?? []
  return importsOf(file).filter(name => {
    const ours = /^(?:@holdfast\/([^/]+)|(holdfast))(\/|$)/.exec(name)
    if (ours) return !allowed.includes(ours[1] ?? 'cli')
    return name.startsWith('..') && name.includes('/packages/')
  })
}

describe('the arrows between packages', () => {
  test('every package is on the map', () => {
    expect(packageFolders()).toEqual(Object.keys(ARROWS).sort())
  })

  test.each(Object.keys(ARROWS))('%s imports only what its arrows allow', folder => {
    for (const file of sourcesOf(folder)) expect(stray(file, folder), file.path).toEqual([])
  })

  test.each(Object.keys(ARROWS))('%s declares the packages it imports, and no others', folder => {
    const manifest = JSON.parse(readFileSync(join(TOP, 'packages', folder, 'package.json'), 'utf8'))
    const outside = sourcesOf(folder)
      .flatMap(importsOf)
      .filter(name => !name.startsWith('.') && !name.startsWith('node:'))
      .map(name => name.split('/', name.startsWith('@') ? 2 : 1).join('/'))
    // Types of what a package hands on belong to it as well.
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }).filter(
      name => !outside.includes(name.replace('@types/', '')) || !name.startsWith('@types/'),
    )
    const used = [...new Set([...outside, ...(HANDED_DOWN[folder] ?? [])])]
    expect(used.sort()).toEqual(declared.sort())
  })

  test('a package that points the wrong way is found', () => {
    const wrong = { path: 'packages/identity/src/x.ts', text: `import { decide } from '@holdfast/handshake'` }
    expect(stray(wrong, 'identity')).toEqual(['@holdfast/handshake'])
  })
})

describe('the world outside', () => {
  const files = packageFolders().flatMap(sourcesOf)
  const code = new Map(files.map(file => [file, codeOf(file)]))

  test.each(OWNED)('$what is touched only by the files that own it', ({ use, owners }) => {
    const users = files.filter(file => use.test(code.get(file) ?? '')).map(file => file.path)
    expect(users.filter(path => !owners.includes(path))).toEqual([])
  })

  test('a stray use is found, a word in prose is not', () => {
    const clock = OWNED.find(({ what }) => what === 'the clock')
    expect(clock?.use.test(codeOf({ path: 'x.ts', text: 'export const now = () => Date.now()' }))).toBe(true)
    expect(
      clock?.use.test(codeOf({ path: 'x.ts', text: '/** Date.now */ export const x = "Date.now"' })),
    ).toBe(false)
  })

  test('an index re-exports by name and does nothing else', () => {
    for (const file of files.filter(({ path }) => path.endsWith('/src/index.ts'))) {
      const rest = file.text.replace(/export (type )?\{[^}]*\} from '[^']+'/g, '').trim()
      expect(rest, file.path).toBe('')
    }
  })
})

describe('the public surface', () => {
  const exported = exportsOf(Object.keys(ENTRIES))

  test.each(Object.entries(ENTRIES))('%s exports exactly these names', (entry, names) => {
    expect(exported.get(entry)).toEqual([...names].sort())
  })

  test('every entry of every package is on the list', () => {
    const entries = packageFolders().flatMap(folder => {
      const manifest = JSON.parse(readFileSync(join(TOP, 'packages', folder, 'package.json'), 'utf8'))
      return Object.values<string | { source: string }>(manifest.exports)
        .filter(target => typeof target === 'object')
        .map(target => `packages/${folder}/${target.source.slice(2)}`)
    })
    expect(entries.sort()).toEqual(Object.keys(ENTRIES).sort())
  })
})
