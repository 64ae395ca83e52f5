import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import {
  createRealHome,
  type RealGateway,
  type RealHome,
  type StartOptions,
  startRealGateway,
} from './real-gateway.ts'
import type { RealVersion } from './real-versions.ts'

/**
 * One release on one HOME, its gateway running, for all tests of a file: starting one costs more than most of what is asked
 * of it. So a test looks at what came into the books while it ran, and leaves the gateway running.
 */
export interface Release {
  readonly version: RealVersion
  readonly home: RealHome
  readonly gateway: RealGateway
  /** Stop it, and start it at the same address: the same release, or a later one on the same HOME. */
  startAgain(version?: RealVersion, options?: StartOptions): Promise<RealGateway>
  stop(): Promise<void>
}

/** Start the gateway before the first test of the file, and stop whatever runs behind the last. */
export function useRelease(version: RealVersion): Release {
  let home: RealHome | null = null
  let running: RealGateway | null = null
  let last: RealGateway | null = null
  const stop = async (): Promise<void> => {
    await running?.stop()
    running = null
  }
  beforeAll(async () => {
    home = createRealHome()
    running = last = await startRealGateway(version, home)
  })
  afterAll(async () => {
    await stop()
    home?.remove()
  })
  return {
    version,
    get home() {
      return present(home)
    },
    get gateway() {
      return present(running)
    },
    async startAgain(again = present(last).version, options = {}) {
      await stop()
      running = last = await startRealGateway(again, present(home), { port: present(last).port, ...options })
      return running
    },
    stop,
  }
}

function present<Thing>(thing: Thing | null): Thing {
  if (thing === null) throw new Error('no gateway runs: an earlier test, or the start, has failed')
  return thing
}

/** A state directory of ours for each call, all gone behind the last test. */
export function useDirectories(): () => string {
  const made: string[] = []
  afterAll(() => {
    for (const directory of made) rmSync(directory, { recursive: true, force: true })
  })
  return () => {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-state-'))
    made.push(directory)
    return directory
  }
}
