// Inspects an identity as another user, and prints what it saw.
import { inspectIdentity } from '@holdfast/identity'

const [directory = '', asUid] = process.argv.slice(2)
process.setgid?.(Number(asUid))
process.setuid?.(Number(asUid))
console.log(JSON.stringify(await inspectIdentity({ directory })))
