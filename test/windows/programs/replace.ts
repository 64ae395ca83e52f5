// Replaces a private file forty times, or reads it over and over while others do, and prints what it met.
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { locateState, publishOnce, readPrivateFile, replacePrivateFile } from '@holdfast/identity/state'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const [directory = '', part] = process.argv.slice(2)
const { platform } = process
const location = locateState({ directory })
const text = (turn: number): Buffer => Buffer.from(`${turn}`.repeat(2_000))
await publishOnce(location, 'gateway-token/token', text(0))
waitAtBarrier()
let [done, failures, torn, refused] = [0, 0, 0, 0]

/** What a rename without a second try meets: somebody has the file open. */
function tryOnce(): void {
  const own = join(directory, `once-${process.pid}`)
  writeFileSync(own, text(0))
  try {
    renameSync(own, join(directory, 'gateway-token', 'token'))
  } catch {
    refused += 1
    rmSync(own, { force: true })
  }
}

const endMs = performance.now() + 6_000
while (part === 'write' ? done + failures < 40 : performance.now() < endMs) {
  try {
    if (part === 'write') {
      tryOnce()
      await replacePrivateFile(location, 'gateway-token/token', text(done % 10))
    } else {
      const read = Buffer.from((await readPrivateFile(location, 'gateway-token/token')) ?? '').toString()
      if (read !== (read[0] ?? '-').repeat(2_000)) torn += 1
    }
    done += 1
  } catch (error) {
    failures += 1
    process.stderr.write(`${error}\n`)
  }
}
console.log(JSON.stringify({ platform, done, failures, torn, refused }))
