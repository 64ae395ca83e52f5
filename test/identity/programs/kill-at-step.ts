// Preloaded (`--import`): ends this process by SIGKILL at the step of a creation that HOLDFAST_TEST_STEP names.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { basename } from 'node:path'

type Call = (...args: unknown[]) => unknown

const step = process.env['HOLDFAST_TEST_STEP']
const table = fs as unknown as Record<string, Call>
const names = new Map<number, string>()

function die(): void {
  process.kill(process.pid, 'SIGKILL')
}

/** Die just before (or after) this function is called on a file or directory of that name. */
function dieAt(name: string, file: RegExp, when: 'before' | 'after' = 'before'): void {
  const call = table[name] as Call
  table[name] = (...args) => {
    const [on, to] = args
    const path = typeof on === 'number' ? names.get(on) : name === 'renameSync' ? String(to) : String(on)
    const hit = path !== undefined && file.test(basename(path))
    if (hit && when === 'before') die()
    const result = call.apply(fs, args)
    if (hit) die()
    return result
  }
}

const open = table['openSync'] as Call
table['openSync'] = (...args) => {
  const descriptor = open.apply(fs, args) as number
  if (args[1] === 'wx') names.set(descriptor, String(args[0]))
  return descriptor
}

/** Half of the key is written. Both ways to write a file, so that a creator of another kind meets the same. */
function dieHalfway(): void {
  const [write, writeWhole] = [table['writeSync'] as Call, table['writeFileSync'] as Call]
  table['writeSync'] = (descriptor, bytes, ...rest) => {
    if (names.get(descriptor as number)?.endsWith('key.json') !== true)
      return write.call(fs, descriptor, bytes, ...rest)
    write.call(fs, descriptor, (bytes as Buffer).subarray(0, (bytes as Buffer).length / 2))
    return die()
  }
  table['writeFileSync'] = (path, bytes, ...rest) => {
    if (!String(path).endsWith('key.json')) return writeWhole.call(fs, path, bytes, ...rest)
    writeWhole.call(fs, path, (bytes as Buffer).subarray(0, (bytes as Buffer).length / 2), ...rest)
    return die()
  }
}

const privateFolder = /^\.device\.[0-9a-f]{16}$/
if (step === 'before the lock') dieAt('mkdirSync', /^install\.lock$/)
else if (step === 'in the lock') dieAt('mkdirSync', privateFolder)
else if (step === 'halfway through the temporary write') dieHalfway()
else if (step === 'after the temporary write') dieAt('fsyncSync', /^key\.json$/)
else if (step === 'after fsync') dieAt('renameSync', /^device$/)
else if (step === 'after the rename') dieAt('renameSync', /^device$/, 'after')
else if (step === 'before the clean-up') dieAt('rmdirSync', /^install\.lock$/)
else throw new Error(`no such step: ${step}`)
syncBuiltinESMExports()
