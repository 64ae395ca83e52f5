// Gives back the lock of an install while a thread reads its mark, which Windows then only plans to remove. Prints what is
// left of the lock.
import { existsSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { locateState, withInstallLock } from '@holdfast/identity/state'

const [directory = ''] = process.argv.slice(2)
const lock = join(directory, 'install.lock')
const readers: Worker[] = []

await withInstallLock(locateState({ directory }), async () => {
  const [mark = ''] = readdirSync(lock)
  const letGo = new Worker(
    `const { closeSync } = require('node:fs')
     const { workerData, parentPort } = require('node:worker_threads')
     parentPort.once('message', () => setTimeout(() => closeSync(workerData), 30))`,
    { eval: true, workerData: openSync(join(lock, mark), 'r') },
  )
  readers.push(letGo)
  await new Promise(resolve => letGo.once('online', resolve))
  letGo.postMessage('now')
})
const left = existsSync(lock) ? readdirSync(lock) : null
for (const reader of readers) await reader.terminate()
console.log(JSON.stringify({ platform: process.platform, readers: readers.length, left }))
