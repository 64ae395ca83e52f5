// Holds the lock of an install until it is lost, or until SIGUSR2, and prints whether it still had it. Where its second
// argument names a file, it does nothing at all, not even its timers, until that is there.
import { existsSync } from 'node:fs'
import { locateState, withInstallLock } from '@holdfast/identity/state'

const [directory = '', blockedUntil] = process.argv.slice(2)
const location = locateState({ directory })
let asked = false
process.once('SIGUSR2', () => {
  asked = true
})
const held = await withInstallLock(location, async lock => {
  console.log('holding')
  if (blockedUntil !== undefined) {
    const never = new Int32Array(new SharedArrayBuffer(4))
    while (!existsSync(blockedUntil)) Atomics.wait(never, 0, 0, 10)
  }
  for (let waited = 0; lock.held && !asked && waited < 60_000; waited += 50) {
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  return lock.held
})
console.log(JSON.stringify({ held }))
