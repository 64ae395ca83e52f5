// Gives back the lock of an install while a thread reads its mark, which Windows then only plans to remove. Prints what is
// left of the lock.
import { existsSync, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { locateState, withInstallLock } from '@holdfast/identity/state'
import { closeInAMoment } from './close-in-a-moment.ts'

const [directory = ''] = process.argv.slice(2)
const lock = join(directory, 'install.lock')
const readers: Worker[] = []

await withInstallLock(locateState({ directory }), async () => {
  const [mark = ''] = readdirSync(lock)
  readers.push(await closeInAMoment(openSync(join(lock, mark), 'r'), 30))
})
const left = existsSync(lock) ? readdirSync(lock) : null
for (const reader of readers) await reader.terminate()
console.log(JSON.stringify({ platform: process.platform, readers: readers.length, left }))
