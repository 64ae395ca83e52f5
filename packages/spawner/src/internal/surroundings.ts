/** The edge of this package: platform, clock and chance are read here and nowhere else. */
export interface Surroundings {
  readonly platform: string
  /** The version of this package; a test holds it equal to the manifest's. */
  readonly version: string
  /** Milliseconds that only ever go forward; their zero means nothing. */
  clock(): number
  /** From 0 to 1. */
  random(): number
}

/** The surroundings of this process. */
export const surroundings: Surroundings = {
  platform: process.platform,
  version: '0.1.0',
  clock: () => performance.now(),
  random: Math.random,
}
