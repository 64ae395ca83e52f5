import { openIdentity } from '@holdfast/identity'
import { exportToOpenClaw, isOpenClawError } from '@holdfast/openclaw'
import { waitAtBarrier } from '../../support/at-barrier.ts'

// Export one install's identity, and say how it went. Arguments: state directory, OpenClaw's state directory.
const [directory = '', openclawDirectory = ''] = process.argv.slice(2)
const identity = await openIdentity({ directory })
waitAtBarrier()
const said = await exportToOpenClaw({ identity, openclawDirectory }).then(
  ({ outcome }) => outcome,
  (error: unknown) => (isOpenClawError(error) ? error.code : String(error)),
)
console.log(JSON.stringify({ said }))
