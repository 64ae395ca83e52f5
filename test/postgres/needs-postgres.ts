/** The test files that start a PostgreSQL server. */
export const NEEDS_POSTGRES = [
  'test/pairing-store/postgres-*.test.ts',
  'test/gateway/fleet.test.ts',
  'test/cli/fleet.test.ts',
]
