import { execFileSync } from 'node:child_process'
import process from 'node:process'

// Runs in the worker before each file of tests: nothing may count as run on a version that it did not run on. The programs
// that tests start are run by this process's own program, or found as `node`.
const expected = process.env['HOLDFAST_NODE']
const found = [process.version, execFileSync('node', ['--version'], { encoding: 'utf8' }).trim()]
if (found.some(version => version !== expected)) throw new Error(`${found} ran, and not ${expected}`)
