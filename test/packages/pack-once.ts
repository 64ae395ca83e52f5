import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { pnpm } from './programs.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder with one tarball a package. */
    readonly tarballs: string
    /** The same, from a second build. */
    readonly tarballsAgain: string
  }
}

/** What vitest runs before the first file of the suite: build and pack everything, twice. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-packages-'))
  const tarballs = join(folder, 'first')
  const tarballsAgain = join(folder, 'second')
  await buildAndPack(tarballs)
  await buildAndPack(tarballsAgain)
  project.provide('tarballs', tarballs)
  project.provide('tarballsAgain', tarballsAgain)
  return () => rm(folder, { recursive: true, force: true })
}

/** pnpm puts versions for `workspace:` and `catalog:`, and the exports of `publishConfig`; `npm pack` does neither. */
async function buildAndPack(destination: string): Promise<void> {
  await pnpm(['build'])
  await pnpm(['--recursive', '--filter', './packages/*', 'pack', '--pack-destination', destination])
}
