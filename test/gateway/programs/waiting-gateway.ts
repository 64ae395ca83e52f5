// What the waiting outside of SQLite is for: a server that asks SQLite to wait for the lock, once for each connection but
// the first, whose pings are counted.
import { writeSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { WebSocketServer } from 'ws'

const [path = ''] = process.argv.slice(2)
const http = createServer()
const server = new WebSocketServer({ server: http })
let connections = 0
server.on('connection', () => {
  connections += 1
  if (connections === 1) return
  const database = new DatabaseSync(path, { timeout: 60_000 })
  // Past the event loop, which does nothing from here on until the lock is free.
  writeSync(1, 'waiting\n')
  database.exec('BEGIN IMMEDIATE; ROLLBACK')
  database.close()
})
http.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}` }))
})
