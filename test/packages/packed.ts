import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { TOP } from './programs.ts'

/** The parts of a package.json that are looked at here. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly type: string
  readonly sideEffects: boolean
  readonly engines: { readonly node: string }
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly bin?: Readonly<Record<string, string>>
  readonly publishConfig?: { readonly exports?: Manifest['exports'] }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** One packed package. */
export interface Packed {
  readonly path: string
  /** The size of the tarball, in bytes. */
  readonly packedBytes: number
  /** What its files have together, in bytes. */
  readonly unpackedBytes: number
  /** Text by path, without the `package/` that every tarball begins with. */
  readonly files: ReadonlyMap<string, string>
  readonly manifest: Manifest
}

/** The folders of the packages, in the order in which they build on each other. */
export const FOLDERS: readonly string[] = orderOf(
  readdirSync(join(TOP, 'packages'), { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => entry.name),
)

/** The package.json of a package as it is in the repository. */
export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(TOP, 'packages', folder, 'package.json'), 'utf8'))
}

/** The name of the tarball of a package. */
export function tarballName(folder: string): string {
  const { name, version } = manifestOf(folder)
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`
}

/** Read a tarball without unpacking it. */
export function readPacked(path: string): Packed {
  const tarball = readFileSync(path)
  const files = new Map(
    [...entriesOf(gunzipSync(tarball))].map(([name, text]) => [name.replace(/^package\//, ''), text]),
  )
  const manifest = files.get('package.json')
  if (manifest === undefined) throw new Error(`no package.json in ${path}`)
  return {
    path,
    packedBytes: tarball.length,
    unpackedBytes: [...files.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0),
    files,
    manifest: JSON.parse(manifest),
  }
}

/** Everything that has to be installed for a package to run, as names. */
export function runtimeDependencies(manifest: Manifest): string[] {
  const { dependencies, optionalDependencies, peerDependencies } = manifest
  return Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies }).sort()
}

const BLOCK = 512

/** The files of a tar archive: headers of 512 bytes, each followed by its content in whole blocks (POSIX ustar). */
function* entriesOf(tar: Buffer): Generator<[string, string]> {
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0; ) {
    const field = (from: number, length: number) =>
      tar.toString('utf8', at + from, at + from + length).replace(/\0.*$/s, '')
    const size = Number.parseInt(field(124, 12), 8)
    const prefix = field(345, 155)
    const name = prefix === '' ? field(0, 100) : `${prefix}/${field(0, 100)}`
    const type = field(156, 1)
    at += BLOCK
    if (type === '0' || type === '') yield [name, tar.toString('utf8', at, at + size)]
    at += Math.ceil(size / BLOCK) * BLOCK
  }
}

function orderOf(folders: readonly string[]): string[] {
  const weight = (folder: string): number => {
    const ours = runtimeDependencies(manifestOf(folder)).filter(name => name.startsWith('@holdfast/'))
    return ours.reduce((sum, name) => sum + weight(name.slice('@holdfast/'.length)), 1)
  }
  return [...folders].sort((a, b) => weight(a) - weight(b) || a.localeCompare(b))
}
