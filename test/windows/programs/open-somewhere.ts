// Opens an identity when the barrier falls, and prints what it got, and on what it ran.
import { isIdentityError, openIdentity, openIdentitySync } from '@holdfast/identity'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const [directory = '', lockTimeoutMs, way] = process.argv.slice(2)
const options = { directory, lockTimeoutMs: Number(lockTimeoutMs) }
const { platform } = process
waitAtBarrier()
try {
  const { id, created } = way === 'sync' ? openIdentitySync(options) : await openIdentity(options)
  console.log(JSON.stringify({ platform, id, created }))
} catch (error) {
  if (!isIdentityError(error)) throw error
  console.log(JSON.stringify({ platform, code: error.code, detail: error.detail }))
}
