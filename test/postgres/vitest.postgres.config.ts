import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { NEEDS_POSTGRES } from './needs-postgres.ts'

// The suites that start a PostgreSQL server of their own. They need nothing of the machine, but take longer than a person
// who changed something else waits, so `pnpm test` leaves them out.
// biome-ignore lint/style/noDefaultExport: this is how vitest takes its configuration
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    globalSetup: ['test/support/compiled-programs.ts'],
    include: NEEDS_POSTGRES,
    testTimeout: process.env['HOLDFAST_LONG'] === undefined ? 120_000 : 900_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
  },
})
