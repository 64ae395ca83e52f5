// Reads a key that this very process keeps open for itself alone (Windows lets nobody else in then): first all the time,
// then until a thread lets go of it, then when nobody has it open. Prints what came of each.
import { closeSync, openSync } from 'node:fs'
import { isIdentityError, openIdentitySync } from '@holdfast/identity'
import { closeInAMoment } from './close-in-a-moment.ts'

const [directory = ''] = process.argv.slice(2)
/** `UV_FS_O_EXLOCK`, which Node does not name: shared with nobody. */
const FOR_ITSELF = 0x10000000
const { id, location } = openIdentitySync({ directory })
const hold = (): number => openSync(location?.deviceKey ?? '', FOR_ITSELF)

function outcome(): unknown {
  try {
    return openIdentitySync({ directory }).id
  } catch (error) {
    if (!isIdentityError(error)) throw error
    return { code: error.code, detail: error.detail }
  }
}

const held = hold()
const [heldAllTheTime] = [outcome(), closeSync(held)]

const letGo = await closeInAMoment(hold(), 50)
const heldForAMoment = outcome()
await letGo.terminate()
console.log(
  JSON.stringify({ platform: process.platform, id, heldAllTheTime, heldForAMoment, later: outcome() }),
)
