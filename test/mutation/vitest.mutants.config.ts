import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (name: string) => fileURLToPath(new URL(`../../packages/${name}`, import.meta.url))

// Stryker runs this in a copy of the repository: the packages must be those of the copy, not those that node_modules links to.
// biome-ignore lint/style/noDefaultExport: this is how vitest takes its configuration
export default defineConfig({
  resolve: {
    conditions: ['source'],
    alias: [
      { find: /^@holdfast\/identity\/state$/, replacement: source('identity/src/state.ts') },
      { find: /^@holdfast\/identity$/, replacement: source('identity/src/index.ts') },
      { find: /^@holdfast\/handshake$/, replacement: source('handshake/src/index.ts') },
    ],
  },
  ssr: { resolve: { conditions: ['source'] } },
  test: {
    root: fileURLToPath(new URL('../..', import.meta.url)),
    include: ['test/handshake/**/*.test.ts'],
    testTimeout: 60_000,
  },
})
