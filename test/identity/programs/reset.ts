// Resets or opens an identity when the barrier falls, and prints which device it got.
import { openIdentity, resetIdentity } from '@holdfast/identity'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const [directory = '', what] = process.argv.slice(2)
waitAtBarrier()
const identity =
  what === 'reset' ? (await resetIdentity({ directory })).identity : await openIdentity({ directory })
console.log(JSON.stringify({ id: identity.id }))
