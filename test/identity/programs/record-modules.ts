// Preloaded (`--import`): notes the address of every module that is loaded in HOLDFAST_TEST_RECORD.
import { writeFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const loaded: string[] = []
registerHooks({
  load(url, context, next) {
    loaded.push(url)
    return next(url, context)
  },
})
process.once('exit', () => writeFileSync(process.env['HOLDFAST_TEST_RECORD'] ?? '', JSON.stringify(loaded)))
