import { fileURLToPath } from 'node:url'
import { defineConfig, mergeConfig } from 'vitest/config'
import base from '../../vitest.config.ts'

// The suites that one of several versions of Node runs; `run-on-each-node.ts` starts them.
// biome-ignore lint/style/noDefaultExport: this is how vitest takes its configuration
export default mergeConfig(
  base,
  defineConfig({
    root: fileURLToPath(new URL('../..', import.meta.url)),
    test: { setupFiles: ['test/runtimes/same-node.ts'], fileParallelism: false },
  }),
)
