/** The edge of this package: platform, user, environment, clock and chance are read here and nowhere else. */
export interface Surroundings {
  readonly platform: string
  /** The version of this package; a test holds it equal to the manifest's. */
  readonly version: string
  /** Milliseconds that only ever go forward; their zero means nothing. */
  clock(): number
  /** Ms since 1970 by this machine's clock, which may be wrong. */
  nowMs(): number
  /** This process's variables. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The user whose files this process may trust; null where the platform has no uids. */
  readonly uid: number | null
  /** From 0 to 1. */
  random(): number
}

/** The surroundings of this process. */
export const surroundings: Surroundings = {
  platform: process.platform,
  version: '0.1.0',
  clock: () => performance.now(),
  nowMs: () => Date.now(),
  environment: process.env,
  uid: process.geteuid?.() ?? null,
  random: Math.random,
}
