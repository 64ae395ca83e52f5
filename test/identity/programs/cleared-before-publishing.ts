// Preloaded (`--import`): just before the first rename, somebody clears what is to be renamed.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const rename = fs.renameSync
fs.renameSync = (from, to) => {
  fs.renameSync = rename
  syncBuiltinESMExports()
  fs.rmSync(from, { recursive: true })
  process.stderr.write('cleared\n')
  rename(from, to)
}
syncBuiltinESMExports()
