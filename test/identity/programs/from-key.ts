// A program whose key is kept elsewhere and comes in on standard input: it signs, and shows all that it has.
import { readFileSync } from 'node:fs'
import { identityFrom } from '@holdfast/identity'

const identity = identityFrom({ pem: readFileSync(0, 'utf8') })
const signature = Buffer.from(identity.sign(Buffer.from('hello'))).toString('hex')
console.log(identity, { identity }, process.argv, process.execArgv, process.env)
console.log(JSON.stringify({ id: identity.id, created: identity.created, signature, identity }))
