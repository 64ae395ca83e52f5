// Prints where the state of the app `demo` is.
import { locateState } from '@holdfast/identity/state'

console.log(JSON.stringify(locateState({ app: 'demo' }).directory))
