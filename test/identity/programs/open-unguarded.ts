// The negative control of the creation race: the same creation, but the key is written in place, and without the lock.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isIdentityError } from '@holdfast/identity'
import { createKey } from '../../../packages/identity/src/internal/create-key.ts'
import { runSync } from '../../../packages/identity/src/internal/steps.ts'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const owner = {
  platform: process.platform,
  uid: process.geteuid?.() ?? null,
  gid: process.getegid?.() ?? null,
}
const place = { directory: process.argv[2] ?? '', name: 'device' as const, owner }
waitAtBarrier()
try {
  const { key, created } = runSync(
    createKey(place, 0, {
      tryLock: () => 'unavailable',
      *publish({ stateDirectory, folder, file }, bytes) {
        yield 0
        mkdirSync(join(stateDirectory, folder), { recursive: true, mode: 0o700 })
        writeFileSync(join(stateDirectory, folder, file), bytes, { mode: 0o600 })
        return true
      },
    }),
  )
  console.log(JSON.stringify({ id: key.deviceId, created }))
} catch (error) {
  if (!isIdentityError(error)) throw error
  console.log(JSON.stringify({ code: error.code }))
}
