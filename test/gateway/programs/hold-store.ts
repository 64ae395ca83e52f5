// A process that holds the write lock of a store for so many ms: it says when it has it, and when it let go.
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'

const [path = '', ms = '0'] = process.argv.slice(2)
const database = new DatabaseSync(path, { timeout: 5_000 })
database.exec('BEGIN IMMEDIATE')
console.log('holding')
await wait(Number(ms))
database.exec('ROLLBACK')
database.close()
console.log('released')
