import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { FOLDERS, manifestOf, readPacked, runtimeDependencies, tarballName } from './packed.ts'
import { runTool, TOP } from './programs.ts'
import { installedFor, installInto, type Project } from './project.ts'

const DOCUMENT = join(TOP, 'docs', 'packages.md')
const HEAD = '| package | packed | unpacked | depends on | which brings |\n| --- | --- | --- | --- | --- |\n'
/** How far a size may have moved before the document has to be written anew: sources change every day. */
const TOLERANCE = { share: 0.1, kilobytes: 3 }

interface Row {
  readonly name: string
  readonly packed: number
  readonly unpacked: number
  readonly dependsOn: string
  readonly brings: string
}

let folder: string
let rows: readonly Row[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-table-'))
  const project = await installInto(folder, inject('tarballs'), process.execPath)
  rows = await Promise.all(FOLDERS.map(each => rowOf(each, project)))
  console.log(`\n${HEAD}${rows.map(print).join('')}`)
  if (process.env['HOLDFAST_UPDATE']) await update()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function rowOf(packageFolder: string, project: Project): Promise<Row> {
  const { name } = manifestOf(packageFolder)
  const { packedBytes, unpackedBytes, manifest } = readPacked(
    join(inject('tarballs'), tarballName(packageFolder)),
  )
  const direct = runtimeDependencies(manifest)
  const all = await installedFor(project, name)
  const kilobytes = (bytes: number) => Math.max(1, Math.round(bytes / 1000))
  return {
    name,
    packed: kilobytes(packedBytes),
    unpacked: kilobytes(unpackedBytes),
    dependsOn: list(direct),
    brings: list(all.filter(each => !direct.includes(each))),
  }
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : names.map(name => `\`${name}\``).join(', ')
}

function print({ name, packed, unpacked, dependsOn, brings }: Row): string {
  return `| \`${name}\` | ${packed} kB | ${unpacked} kB | ${dependsOn} | ${brings} |\n`
}

async function written(): Promise<readonly Row[]> {
  const text = await readFile(DOCUMENT, 'utf8')
  const row = /^\| `(\S+)` *\| (\d+) kB *\| (\d+) kB *\| (.+?) *\| (.+?) *\|$/gm
  return [...text.matchAll(row)].map(([, name = '', packed, unpacked, dependsOn = '', brings = '']) => ({
    name,
    packed: Number(packed),
    unpacked: Number(unpacked),
    dependsOn,
    brings,
  }))
}

async function update(): Promise<void> {
  const text = await readFile(DOCUMENT, 'utf8')
  const table = /^\| package +\|[\s\S]*?\n(?=\n)/m
  await writeFile(DOCUMENT, text.replace(table, `${HEAD}${rows.map(print).join('')}`))
  await runTool('biome', ['format', '--write', DOCUMENT])
}

test('the table in docs/packages.md names every package, what it depends on, and what that brings', async () => {
  const stated = (row: Row) => ({ name: row.name, dependsOn: row.dependsOn, brings: row.brings })
  expect((await written()).map(stated)).toEqual(rows.map(stated))
})

test('its sizes are right within a tenth; HOLDFAST_UPDATE=1 writes them anew', async () => {
  const before = await written()
  const off = rows.flatMap(row => {
    const claimed = before.find(({ name }) => name === row.name)
    const near = (is: number, says = 0) =>
      Math.abs(is - says) <= Math.max(TOLERANCE.kilobytes, is * TOLERANCE.share)
    const right = near(row.packed, claimed?.packed) && near(row.unpacked, claimed?.unpacked)
    return right ? [] : [{ is: print(row), says: claimed && print(claimed) }]
  })
  expect(off).toEqual([])
})
