// A host with a signal handler of its own, which makes an identity, and then ends in its own way.
import { openIdentity } from '@holdfast/identity'

const events = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'exit'] as const
const alive = setInterval(() => undefined, 1_000)
process.once('SIGTERM', () => {
  clearInterval(alive)
  // Later, since whoever else listens and ends the process does it now.
  setImmediate(() => console.log(JSON.stringify({ handled: 'SIGTERM', added })))
})
const before = events.map(event => process.listenerCount(event))
const { created } = await openIdentity({ directory: process.argv[2] ?? '' })
const added = events.filter((event, index) => process.listenerCount(event) !== before[index])
if (created) console.log('created')
