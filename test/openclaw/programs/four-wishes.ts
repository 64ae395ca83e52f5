import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { waitAtBarrier } from '../../support/at-barrier.ts'
import { connectForEach } from '../wishes.ts'

// One spawned child: it opens the install's identity, enrols it as all its siblings do, and then connects four times, each
// time for something else. Arguments: state directory, url, token, the order of the wishes.
const [directory = '', url = '', token = '', order = ''] = process.argv.slice(2)
waitAtBarrier()
const identity = await openIdentity({ directory })
const { outcome, did } = await enrollWithOpenClaw({ identity, url, token })
const admitted = await connectForEach(order, identity, { url, token })
console.log(JSON.stringify({ deviceId: identity.id, outcome, did: did.map(({ act }) => act), admitted }))
