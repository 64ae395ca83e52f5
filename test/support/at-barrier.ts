import { existsSync, writeFileSync } from 'node:fs'

/**
 * For programs started by `startTogether`: say that this process is ready, and block until all are released at once.
 * Everything that should not be part of the race (imports, above all) belongs before it. Without a barrier it returns.
 * It says so on standard output, or, where that is not seen in time, by making the file that HOLDFAST_TEST_READY names.
 */
export function waitAtBarrier(): void {
  const barrier = process.env['HOLDFAST_TEST_BARRIER']
  if (barrier === undefined) return
  const ready = process.env['HOLDFAST_TEST_READY']
  if (ready === undefined) process.stdout.write('ready\n')
  else writeFileSync(ready, '')
  const never = new Int32Array(new SharedArrayBuffer(4))
  while (!existsSync(barrier)) Atomics.wait(never, 0, 0, 4)
}
