// Opens an identity when the barrier falls, and prints what it got as one line of JSON.
import { isIdentityError, openIdentity, openIdentitySync } from '@holdfast/identity'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const { sync = false, asUid, ...options } = JSON.parse(process.argv[2] ?? '{}')
// Only now: another user may not be able to read this checkout.
if (asUid !== undefined) {
  process.setgid?.(asUid)
  process.setuid?.(asUid)
}
waitAtBarrier()
const startedMs = performance.now()
const tookMs = (): number => performance.now() - startedMs
try {
  const identity = sync ? openIdentitySync(options) : await openIdentity(options)
  const { id, created, location } = identity
  console.log(JSON.stringify({ id, created, directory: location?.directory, tookMs: tookMs() }))
} catch (error) {
  if (!isIdentityError(error)) throw error
  console.log(JSON.stringify({ code: error.code, detail: error.detail, tookMs: tookMs() }))
}
