// Goes in under the lock of an install five times, and tells how often somebody else was inside, and how long it was inside
// itself at the longest. Where HOLDFAST_TEST_PAUSE_MS is set, pauses before each removal of a file, as a process does that is
// not scheduled.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'

const pauseMs = Number(process.env['HOLDFAST_TEST_PAUSE_MS'] ?? 0)
if (pauseMs > 0) {
  const unlink = fs.unlinkSync
  fs.unlinkSync = path => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs)
    unlink(path)
  }
  syncBuiltinESMExports()
}

const { locateState, withInstallLock } = await import('@holdfast/identity/state')
const { waitAtBarrier } = await import('../../support/at-barrier.ts')

const [directory = '', timeoutMs] = process.argv.slice(2)
const inside = join(directory, 'inside')
let violations = 0
let holds = 0
let longestMs = 0
waitAtBarrier()
for (let turn = 0; turn < 5; turn++) {
  await withInstallLock(
    locateState({ directory }),
    async () => {
      const enteredMs = performance.now()
      try {
        fs.mkdirSync(inside)
      } catch {
        violations += 1
        return
      }
      await new Promise(resolve => setTimeout(resolve, 5))
      fs.rmdirSync(inside)
      holds += 1
      longestMs = Math.max(longestMs, performance.now() - enteredMs)
    },
    { timeoutMs: Number(timeoutMs) },
  )
}
console.log(JSON.stringify({ violations, holds, longestMs }))
