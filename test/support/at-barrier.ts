import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

/** The file that releases a round; the first one is the barrier itself. */
export function barrierOf(barrier: string, round: number): string {
  return round === 0 ? barrier : `${barrier}-${round}`
}

/** Those who wait look seldom, since a hundred of them would keep a machine busy, until it says that it is about to fall. */
const SELDOM_MS = 25
const OFTEN_MS = 2
const soon = (released: string): string => `${released}-soon`

/** Let a barrier fall, for all who wait at it at the same moment. */
export async function releaseBarrier(released: string): Promise<void> {
  writeFileSync(soon(released), '')
  await wait(2 * SELDOM_MS)
  writeFileSync(released, '')
}

/** What a program prints that waits for a round. */
export function readyLine(round: number): string {
  return round === 0 ? 'ready' : `ready ${round}`
}

/**
 * For programs started by `startTogether`: say that this process is ready, and block until all are released at once.
 * Everything that should not be part of the race (imports, above all) belongs before it. Without a barrier it returns.
 * It says so on standard output, or, where that is not seen in time, by making the file that HOLDFAST_TEST_READY names.
 */
export function waitAtBarrier(round = 0): void {
  const barrier = process.env['HOLDFAST_TEST_BARRIER']
  if (barrier === undefined) return
  const ready = process.env['HOLDFAST_TEST_READY']
  if (ready === undefined) process.stdout.write(`${readyLine(round)}\n`)
  else writeFileSync(ready, '')
  const never = new Int32Array(new SharedArrayBuffer(4))
  const released = barrierOf(barrier, round)
  while (!existsSync(released)) Atomics.wait(never, 0, 0, existsSync(soon(released)) ? OFTEN_MS : SELDOM_MS)
}
