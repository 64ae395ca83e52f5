import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// What runs on Linux and starts processes of both systems; `run.ts` starts it.
// biome-ignore lint/style/noDefaultExport: this is how vitest takes its configuration
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: { include: ['test/windows/**/*.mixed.ts'], testTimeout: 600_000, fileParallelism: false },
})
