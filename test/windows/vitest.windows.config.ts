import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'
import { NEEDS_POSTGRES } from '../postgres/needs-postgres.ts'

/** Suites whose whole subject is what Wine does not have: kill signals, mounts, modes, strace, a PostgreSQL. */
const POSIX_ONLY = [
  'test/identity/creation-steps.test.ts',
  'test/identity/creation-obstacles.test.ts',
  'test/identity/leaks.test.ts',
  // The server that these tests start is a build for the machine that they run on.
  ...NEEDS_POSTGRES,
]

// biome-ignore lint/style/noDefaultExport: this is how vitest takes its configuration
export default defineConfig({
  root: fileURLToPath(new URL('../..', import.meta.url)),
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    include: [
      'test/identity/**/*.test.ts',
      'test/handshake/**/*.test.ts',
      'test/pairing-store/**/*.test.ts',
      'test/spawner/**/*.test.ts',
      'test/delegation/**/*.test.ts',
    ],
    exclude: [...configDefaults.exclude, ...POSIX_ONLY],
    globalSetup: ['test/support/compiled-programs.ts'],
    setupFiles: ['test/windows/only-on-windows.ts'],
    testTimeout: 300_000,
    hookTimeout: 60_000,
    // Two processes that are not started anew for each file: in Wine that is what takes the time.
    maxWorkers: 2,
    isolate: false,
  },
})
