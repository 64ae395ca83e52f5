// Imports one of two keys when the barrier falls, and prints what became of it.
import { importIdentity, isIdentityError } from '@holdfast/identity'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const [directory = '', which = '0'] = process.argv.slice(2)
const seed = Buffer.alloc(32, Number(which) + 1)
waitAtBarrier()
try {
  const { id, created } = await importIdentity({ seed }, { directory })
  console.log(JSON.stringify({ id, created }))
} catch (error) {
  if (!isIdentityError(error)) throw error
  console.log(JSON.stringify({ code: error.code, ...error.detail }))
}
