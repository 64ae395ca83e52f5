// Holds the lock of an install until it is lost, or until SIGUSR2, and prints whether it still had it.
import { locateState, withInstallLock } from '@holdfast/identity/state'

const location = locateState({ directory: process.argv[2] ?? '' })
let asked = false
process.once('SIGUSR2', () => {
  asked = true
})
const held = await withInstallLock(location, async lock => {
  console.log('holding')
  for (let waited = 0; lock.held && !asked && waited < 60_000; waited += 50) {
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  return lock.held
})
console.log(JSON.stringify({ held }))
