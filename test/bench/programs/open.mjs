// A whole program whose work is to open an identity: from what is published, as its users have it.
import { openIdentitySync } from '@holdfast/identity'

process.stdout.write(`${openIdentitySync({ directory: process.argv[2] }).id}\n`)
