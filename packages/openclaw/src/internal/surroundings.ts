import { homedir } from 'node:os'

/** What the outside world says: the one place where this package reads environment, user and platform. */
export interface Surroundings {
  readonly platform: NodeJS.Platform
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly home: string
  /** The effective user, or null where the platform has no uids. */
  readonly uid: number | null
}

/** The surroundings of this process, as they are now. */
export function readSurroundings(): Surroundings {
  return {
    platform: process.platform,
    environment: process.env,
    home: homedir(),
    uid: process.geteuid?.() ?? null,
  }
}
