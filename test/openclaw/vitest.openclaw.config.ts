import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// The suite that runs the real OpenClaw: `*.real.ts`, which `pnpm test` does not look for. It installs three releases first.
// biome-ignore lint/style/noDefaultExport: this is how vitest takes its configuration
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['test/openclaw/**/*.real.ts'],
    globalSetup: ['test/openclaw/install-once.ts'],
    // Bounds for what hangs. A gateway starts within 5 to 20 s here; a busy machine takes several times that.
    testTimeout: 300_000,
    hookTimeout: 600_000,
    fileParallelism: false,
  },
})
