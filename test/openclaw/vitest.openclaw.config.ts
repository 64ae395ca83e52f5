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
    // Each test as it ends, since each takes seconds.
    reporters: ['verbose'],
    // A file a release, side by side: much of their time is one process of a release at work.
    maxWorkers: 3,
    // Bounds for what hangs, not measurements: a busy machine takes many times what a quiet one does.
    testTimeout: 900_000,
    hookTimeout: 900_000,
  },
})
