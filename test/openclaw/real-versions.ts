import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The releases of OpenClaw that this suite runs, oldest first: one for each way its gateways decide about a device. */
export const REAL_VERSIONS = ['2026.2.21', '2026.4.8', '2026.9.6'] as const
export type RealVersion = (typeof REAL_VERSIONS)[number]

/** One thing to install: a folder of its own with this manifest, and files that the manifest points at. */
export interface Recipe {
  readonly name: string
  readonly manifest: Readonly<Record<string, unknown>>
  readonly files: Readonly<Record<string, string>>
  /** A file that is there once the install is whole, relative to the folder. */
  readonly proof: string
  /**
   * Packages that have a build for each platform as optional dependencies. npm leaves such a one out, and says nothing,
   * where the registry fails for a moment or its own Node is too old: one must be there.
   */
  readonly needBuild?: readonly string[]
}

// Two dependencies of the older releases are no longer to be had, one has moved on without them, and one brings 700 MB of
// graphics code. None is on a path that this suite walks: they belong to chat channels, page reading and local models.
const WITHOUT_LOST_DEPENDENCIES = {
  overrides: {
    libsignal: 'file:./stub',
    '@whiskeysockets/baileys': 'npm:is-number@7.0.0',
    linkedom: '0.18.9',
    'node-llama-cpp': 'npm:is-number@7.0.0',
  },
}

/** Everything the suite installs. */
export const RECIPES: readonly Recipe[] = REAL_VERSIONS.map(openclawRecipe)

function openclawRecipe(version: RealVersion): Recipe {
  const manifest = { private: true, dependencies: { openclaw: version } }
  const proof = 'node_modules/openclaw/openclaw.mjs'
  if (version === '2026.9.6') {
    // Without its build the gateway starts, and does not take over the state of an older one.
    return {
      name: `openclaw-${version}`,
      manifest,
      files: {},
      proof,
      needBuild: ['@openclaw/fs-safe'],
    }
  }
  return {
    name: `openclaw-${version}`,
    manifest: { ...manifest, ...WITHOUT_LOST_DEPENDENCIES },
    files: { 'stub/package.json': JSON.stringify({ name: 'libsignal', version: '2.0.1' }) },
    proof,
  }
}

/** The folder that holds the installed releases: outside the workspace, so that no tool of it looks inside. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env, home = homedir()): string {
  const chosen = env['HOLDFAST_OPENCLAW_CACHE']
  if (chosen !== undefined && chosen !== '') {
    if (!isAbsolute(chosen)) throw new TypeError('HOLDFAST_OPENCLAW_CACHE must be an absolute path')
    return chosen
  }
  const caches = env['XDG_CACHE_HOME']
  return join(caches !== undefined && isAbsolute(caches) ? caches : join(home, '.cache'), 'holdfast-openclaw')
}

/** The start file of one release's command line and gateway. */
export function commandFile(version: RealVersion): string {
  return join(cacheDirectory(), `openclaw-${version}`, 'node_modules/openclaw/openclaw.mjs')
}

/** The Node that runs the releases: the one that this workspace pins, where it has a build for this machine. */
export const PINNED_NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url))
