import { openIdentity, verifySignature } from '@holdfast/identity'

// The first process of an install creates the key; this one, its children and the next start read it.
const identity = await openIdentity({ app: 'my-app' })
console.log(identity.created ? 'created' : 'found', identity.id)

// What you sign begins with a zero byte and a tag of your own, so that no signature serves two purposes.
const message = Buffer.from('\0my-app/greeting\0hello')
const signature = identity.sign(message)
console.log('verified', verifySignature(identity.publicKey, message, signature))
