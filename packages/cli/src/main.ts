#!/usr/bin/env node
import process from 'node:process'

// Node 22 announces node:sqlite as experimental on stderr. A command line silences exactly that one warning; it is given
// when the module is loaded, so nothing that loads it may be imported before.
const emitWarning = process.emitWarning.bind(process)
process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
  if (String(warning).startsWith('SQLite is an experimental feature')) return
  Reflect.apply(emitWarning, process, [warning, ...rest])
}) as typeof process.emitWarning

const { runProgram } = await import('./program.ts')
process.exitCode = await runProgram(process.argv.slice(2))
