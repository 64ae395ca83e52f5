#!/usr/bin/env node
import process from 'node:process'

// Node 22 announces node:sqlite as experimental on stderr. A command line silences exactly that one warning; it is given
// when the module is loaded, so nothing that loads it may be imported before.
const emitWarning = process.emitWarning.bind(process)
process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
  if (String(warning).startsWith('SQLite is an experimental feature')) return
  Reflect.apply(emitWarning, process, [warning, ...rest])
}) as typeof process.emitWarning

// A reader that leaves (`holdfast gateway | head -1`) ends the printing, never a gateway that others are connected to.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

const { runProgram } = await import('./program.ts')
process.exitCode = await runProgram(process.argv.slice(2))
