// Publishes its second argument as the gateway token of a state directory, and prints what is there afterwards.
import { locateState, publishOnce, readPrivateFile } from '@holdfast/identity/state'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const [directory = '', token = ''] = process.argv.slice(2)
const location = locateState({ directory })
waitAtBarrier()
const published = await publishOnce(location, 'gateway-token/token', Buffer.from(token))
const read = Buffer.from((await readPrivateFile(location, 'gateway-token/token')) ?? '').toString()
console.log(JSON.stringify({ published, read }))
