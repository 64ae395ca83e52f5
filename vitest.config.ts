import { configDefaults, defineConfig } from 'vitest/config'
import { NEEDS_POSTGRES } from './test/postgres/needs-postgres.ts'

// Packages are tested from their sources: vitest resolves them in two places, and needs the condition in both.
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/compiled-programs.ts'],
    exclude: [...configDefaults.exclude, 'test/packages', ...NEEDS_POSTGRES],
    // A bound for a hung test, not a measurement: process races start hundreds of Node processes on two cores.
    // The long lane plays twenty rounds and more of each in one test.
    testTimeout: process.env['HOLDFAST_LONG'] === undefined ? 120_000 : 900_000,
    hookTimeout: 60_000,
    // Three at a time: much of a file's time is spent waiting for the processes that it starts.
    maxWorkers: 3,
  },
})
