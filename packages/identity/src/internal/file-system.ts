import { lstatSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Surroundings } from './surroundings.ts'

/** The file system that holds a path, or would hold it. */
export interface FileSystemFacts {
  /** The nearest directory that is there. */
  readonly seenAt: string
  /** Its usual name; null where it is none that we know by number, and where the platform does not say. */
  readonly type: string | null
  /** Why what is written there is gone after a restart of machine or container; null where nothing says so. */
  readonly ephemeral: 'memory' | 'container-layer' | 'temporary-folder' | null
}

/** `f_type` of statfs(2). */
const TYPES: Readonly<Record<number, string>> = {
  16914836: 'tmpfs',
  2240043254: 'ramfs',
  2035054128: 'overlay',
  61267: 'ext',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  801189825: 'zfs',
  26985: 'nfs',
  4283649346: 'cifs',
  19780: 'fat',
  1702057286: 'fuse',
}

/** What is known of the file system at this path. Only looks. */
export function lookAtFileSystem(path: string, surroundings: Surroundings): FileSystemFacts {
  const seenAt = nearest(path)
  const type = surroundings.platform === 'linux' ? (TYPES[statfsSync(seenAt).type >>> 0] ?? null) : null
  return { seenAt, type, ephemeral: whyEphemeral(path, type, surroundings) }
}

function whyEphemeral(
  path: string,
  type: string | null,
  surroundings: Surroundings,
): FileSystemFacts['ephemeral'] {
  if (type === 'tmpfs' || type === 'ramfs') return 'memory'
  if (type === 'overlay') return 'container-layer'
  if (surroundings.platform === 'win32') return null
  const folders = ['/tmp', '/var/tmp', '/run', surroundings.environment['TMPDIR']]
  const within = folders.some(folder => folder && path.startsWith(`${folder.replace(/\/+$/, '')}/`))
  return within ? 'temporary-folder' : null
}

function nearest(path: string): string {
  for (let at = path; ; at = dirname(at)) {
    if (isSeen(at) || at === dirname(at)) return at
  }
}

function isSeen(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false // Something above it does not let us look.
  }
}
