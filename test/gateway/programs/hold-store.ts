// A process that holds the write lock of a store until its standard input ends: it says when it has it, and when it let go.
import { DatabaseSync } from 'node:sqlite'

const [path = ''] = process.argv.slice(2)
const database = new DatabaseSync(path, { timeout: 5_000 })
database.exec('BEGIN IMMEDIATE')
console.log('holding')
process.stdin.resume().on('end', () => {
  database.exec('ROLLBACK')
  database.close()
  console.log('released')
})
