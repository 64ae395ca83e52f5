// Reads a key that this very process keeps open for itself alone (Windows lets nobody else in then): first all the time,
// then until a thread lets go of it, then when nobody has it open. Prints what came of each.
import { closeSync, openSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { isIdentityError, openIdentitySync } from '@holdfast/identity'

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

const passing = hold()
const letGo = new Worker(
  `const { closeSync } = require('node:fs')
   const { workerData, parentPort } = require('node:worker_threads')
   parentPort.once('message', () => setTimeout(() => closeSync(workerData), 50))`,
  { eval: true, workerData: passing },
)
await new Promise(resolve => letGo.once('online', resolve))
letGo.postMessage('now')
const heldForAMoment = outcome()
await letGo.terminate()
console.log(
  JSON.stringify({ platform: process.platform, id, heldAllTheTime, heldForAMoment, later: outcome() }),
)
