// Holds the gateway's lock without ever leaving a note: a gateway that hangs while it starts.
import { DatabaseSync } from 'node:sqlite'

const database = new DatabaseSync(process.argv[2] ?? '')
database.exec('BEGIN EXCLUSIVE')
console.log('held')
setInterval(() => undefined, 1_000)
