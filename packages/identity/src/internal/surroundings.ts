import { statSync } from 'node:fs'
import { userInfo } from 'node:os'

/** What the outside world says: the one place where this package reads environment, user, platform and clock. */
export interface Surroundings {
  readonly platform: NodeJS.Platform
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The effective user, or null where the platform has no uids. */
  readonly uid: number | null
  /** The effective group, or null where the platform has none. */
  readonly gid: number | null
  /** The home directory that the user database names, or null where it knows no such user. */
  userDatabaseHome(): string | null
  /** The owner of what is at this path (links followed), or null where nothing can be seen there. */
  ownerOf(path: string): number | null
}

/** The surroundings of this process, as they are now. */
export function readSurroundings(): Surroundings {
  return {
    platform: process.platform,
    environment: process.env,
    uid: process.geteuid?.() ?? null,
    gid: process.getegid?.() ?? null,
    userDatabaseHome,
    ownerOf,
  }
}

function ownerOf(path: string): number | null {
  try {
    return statSync(path).uid
  } catch {
    return null // Not there, or not ours to look at: in no case ours.
  }
}

/** Milliseconds that only ever go forward: for waits, which a clock that is set back must not prolong. */
export function readStopwatch(): number {
  return performance.now()
}

/** Milliseconds since 1970 by this machine's clock. */
export function readClock(): number {
  return Date.now()
}

/** This process's id. */
export function readProcessId(): number {
  return process.pid
}

function userDatabaseHome(): string | null {
  try {
    return userInfo().homedir
  } catch {
    return null // A container's uid often has no entry.
  }
}
