import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// The suite that packs what would be published and installs it elsewhere. It builds first, and asks the registry for the
// few packages that ours depend on, so `pnpm test` leaves it out.
// biome-ignore lint/style/noDefaultExport: this is how vitest takes its configuration
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  test: {
    include: ['test/packages/**/*.test.ts'],
    globalSetup: ['test/packages/pack-once.ts'],
    // Bounds for what hangs: an install waits for a registry.
    testTimeout: 300_000,
    hookTimeout: 600_000,
    fileParallelism: false,
  },
})
