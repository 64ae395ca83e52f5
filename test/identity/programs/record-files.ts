// Preloaded (`--import`): notes every file call under HOLDFAST_TEST_ROOT in HOLDFAST_TEST_RECORD, and, where
// HOLDFAST_TEST_KILL_AT is set, kills this process just before the so-manieth call that changes something there.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const root = process.env['HOLDFAST_TEST_ROOT'] ?? ''
const record = process.env['HOLDFAST_TEST_RECORD']
const killAt = Number(process.env['HOLDFAST_TEST_KILL_AT'] ?? 0)
const changing = new Set([
  'mkdirSync',
  'writeSync',
  'fsyncSync',
  'renameSync',
  'rmdirSync',
  'rmSync',
  'unlinkSync',
])
const watched = [...changing, 'openSync', 'readSync', 'fstatSync', 'utimesSync', 'chmodSync', 'writeFileSync']
const paths = new Map<number, string>()
const calls: { name: string; path: string; flags?: unknown; to?: string }[] = []
const original = { openSync: fs.openSync, writeFileSync: fs.writeFileSync }
let changes = 0

for (const name of watched) {
  const table = fs as unknown as Record<string, (...args: unknown[]) => unknown>
  const call = table[name]
  if (call === undefined) throw new Error(`no ${name}`)
  table[name] = (...args) => {
    const path = typeof args[0] === 'number' ? paths.get(args[0]) : String(args[0])
    if (path === undefined || !path.startsWith(root)) return call.apply(fs, args)
    const creates = name === 'openSync' && args[1] === 'wx'
    if (changing.has(name) || creates) {
      changes += 1
      if (changes === killAt) process.kill(process.pid, 'SIGKILL')
    }
    calls.push({
      name,
      path,
      ...(name === 'openSync' ? { flags: args[1] } : {}),
      ...(name === 'renameSync' ? { to: String(args[1]) } : {}),
    })
    const result = call.apply(fs, args)
    if (name === 'openSync') paths.set(result as number, path)
    return result
  }
}
syncBuiltinESMExports()
process.once('exit', () => {
  if (record !== undefined) original.writeFileSync(record, JSON.stringify(calls))
})
