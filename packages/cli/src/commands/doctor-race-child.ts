import { existsSync } from 'node:fs'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { isIdentityError, openIdentity } from '@holdfast/identity'

export interface RaceChildOptions {
  readonly directory: string
  /** The file that releases all at once, when it is made. */
  readonly barrier: string
}

/** What one process of a race saw, as its one line of output. */
export interface RaceReport {
  readonly deviceId: string | null
  readonly created: boolean
  readonly failure: string | null
}

/** One process of a race: it waits with the others, opens the identity, and says what it got. Resolves to the exit code. */
export async function raceChild({ directory, barrier }: RaceChildOptions): Promise<number> {
  process.stdout.write('ready\n')
  while (!existsSync(barrier)) await setTimeout(2)
  process.stdout.write(`${JSON.stringify(await open(directory))}\n`)
  return 0
}

async function open(directory: string): Promise<RaceReport> {
  try {
    const { id, created } = await openIdentity({ directory })
    return { deviceId: id, created, failure: null }
  } catch (error) {
    if (!isIdentityError(error)) throw error
    return { deviceId: null, created: false, failure: error.code }
  }
}
