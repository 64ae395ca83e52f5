import { unlinkSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { DelegatedOptions } from './delegated-options.ts'
import { leaveFile } from './internal/delegation-file.ts'
import { formatMarker, markerName } from './internal/delegation-marker.ts'
import { makeHandDown } from './internal/hand-down.ts'

/** What a child is given where it inherits no pipe. */
export interface LeaveDelegationOptions extends Omit<DelegatedOptions, 'renew'> {
  /**
   * An absolute path where nothing is yet, in a folder that nobody else can write. On Windows nobody else may be able to read
   * in it either: a new file there is as open as its folder.
   */
  readonly path: string
  /** The path by which the child sees it, where that is another one. @defaultValue `path` */
  readonly pathInChild?: string | undefined
  /** The user that the child runs as, where that is another one; giving a file away takes root. @defaultValue this one */
  readonly ownerUid?: number | undefined
}

/** A delegation that waits in a file. */
export interface LeftDelegation {
  /** The marker, for the child's environment. */
  readonly environment: Readonly<Record<string, string>>
  /** Take the file away, where nobody has yet. Call it when the child has ended, or was never started. */
  remove(): void
}

/**
 * Leave a child's key and delegation in a new file that its user alone can read: for a container, or wherever no pipe can be
 * inherited. The child takes the file away before it reads it, so it is good for one process; it is not renewed.
 *
 * Take the install's variables (`HOLDFAST_DIR_<APP>`, `HOLDFAST_DEVICE_<APP>`) out of the child's environment yourself.
 *
 * @throws as `spawnAgent` does; the system's error where the file is there already or cannot be written
 */
export function leaveDelegation(options: LeaveDelegationOptions): LeftDelegation {
  const { path, pathInChild = path, ownerUid } = options
  if (!isAbsolute(path)) throw new TypeError('path must be absolute')
  const { app, bundle } = makeHandDown(options)
  try {
    leaveFile(path, bundle, ownerUid)
  } finally {
    bundle.fill(0)
  }
  return {
    environment: { [markerName(app)]: formatMarker({ kind: 'file', path: pathInChild }) },
    remove: () => removeIfThere(path),
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}
