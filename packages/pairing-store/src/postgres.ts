import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { PairingStoreError } from './errors.ts'
import { machineMs } from './internal/machine-clock.ts'
import { checkSchema } from './internal/migrations.ts'
import { parsePostgresUrl, shownAddress } from './internal/postgres-address.ts'
import type { PooledClient } from './internal/postgres-client.ts'
import { PostgresDriver } from './internal/postgres-driver.ts'
import { toStoreError } from './internal/postgres-errors.ts'
import type { Line } from './internal/postgres-feed.ts'
import { PostgresHead } from './internal/postgres-head.ts'
import { type ClientPool, PostgresLeases } from './internal/postgres-leases.ts'
import { prepareTables } from './internal/postgres-opening.ts'
import { SqlStore } from './internal/sql-store.ts'
import type { PairingStore } from './pairing-store.ts'
import type { StoreOptions } from './sqlite.ts'

/** A pool of the package `pg`, as far as it is used. */
export interface PostgresPool {
  connect(): Promise<PooledClient>
  readonly options?: { readonly host?: unknown; readonly port?: unknown; readonly database?: unknown }
}

export type PostgresStoreOptions = StoreOptions & {
  /** Make the tables where there are none. @defaultValue true; else `STORE_UNREADABLE` (`missing`) */
  readonly create?: boolean
  /** How long the server may take for one answer, in ms, and a connection to be had. @defaultValue 5000 */
  readonly answerTimeoutMs?: number
  /**
   * Where to listen for changes, past any pooler that shares connections (PgBouncer's transaction mode, for one).
   * @defaultValue the url; with a `pool`, one connection of it, which it must have to spare
   */
  readonly listenUrl?: string
} & (
    | {
        /** `postgres://user@host:port/database?sslmode=…`. A password may be left to `~/.pgpass`. */
        readonly url: string
        /** Most connections for what is asked; one more listens. @defaultValue 10 */
        readonly maxConnections?: number
      }
    | {
        /** A pool of `pg`, which stays the caller's. */
        readonly pool: PostgresPool
      }
  )

/**
 * Open the pairing store on a PostgreSQL server (14 or later), making its tables the first time, in a schema of their own.
 *
 * Any number of gateways and command lines may have it open. What a call has answered is committed. A server that goes
 * away and comes back is found again by itself; one that has lost what this process saw of the store is refused. The
 * package `pg` is the caller's to install.
 *
 * @throws {@link PairingStoreError} `STORE_DRIVER_MISSING`, `STORE_UNREACHABLE`, `STORE_FOREIGN`, `STORE_SCHEMA_NEWER`,
 * `STORE_WRITE_FAILED`, `STORE_BUSY`.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<PairingStore> {
  const { clock = machineMs, roles = BUILT_IN_ROLES, busyTimeoutMs = 5_000, audit = 'required' } = options
  const { answerTimeoutMs: answerMs = 5_000 } = options
  const path = addressOf(options)
  const { pool, openLine, endPool } = await connectionsOf(options, path, answerMs)
  const head = new PostgresHead()
  const leases = new PostgresLeases({ pool, head, answerMs })
  const driver = new PostgresDriver({ path, busyTimeoutMs, answerMs, leases, head, openLine, endPool })
  try {
    const { create = true } = options
    const preparing = { path, nowMs: clock(), waitMs: busyTimeoutMs, answerMs, create }
    await leases.use(answerMs, session => prepareTables(session, preparing))
    const store = await SqlStore.open(driver, {
      clock,
      roles,
      audit,
      checkSchema: found => checkSchema(path, found),
    })
    await leases.use(answerMs, session => head.begin(session))
    return store
  } catch (error) {
    await driver.close()
    throw toStoreError(path, error)
  }
}

function addressOf(options: PostgresStoreOptions): string {
  if ('pool' in options) return shownAddress(options.pool.options ?? {})
  const address = typeof options.url === 'string' ? parsePostgresUrl(options.url) : null
  // The text is not quoted: there may be a password in it.
  if (address === null) throw new TypeError('url: postgres://host/database')
  return address.shown
}

interface Connections {
  readonly pool: ClientPool
  readonly openLine: () => Promise<Line>
  readonly endPool: () => Promise<void>
}

async function connectionsOf(
  options: PostgresStoreOptions,
  path: string,
  answerMs: number,
): Promise<Connections> {
  const { listenUrl } = options
  if ('pool' in options && listenUrl === undefined) {
    const { pool } = options
    return { pool, openLine: () => lineOf(pool), endPool: async () => undefined }
  }
  const { Pool, Client } = await importDriver(path)
  const url = 'url' in options ? options.url : undefined
  const settings = { connectionTimeoutMillis: answerMs, keepAlive: true, application_name: 'holdfast' }
  const openLine = async (): Promise<Line> => {
    const client = new Client({ ...settings, connectionString: listenUrl ?? url })
    client.on('error', () => undefined)
    await client.connect()
    return { client, end: () => void client.end().catch(() => undefined) }
  }
  if ('pool' in options) return { pool: options.pool, openLine, endPool: async () => undefined }
  const pool = new Pool({ ...settings, connectionString: url, max: options.maxConnections ?? 10 })
  pool.on('error', () => undefined)
  return { pool, openLine, endPool: () => pool.end() }
}

/** One connection of a pool, taken for good: it does not go back, since it listens. */
async function lineOf(pool: PostgresPool): Promise<Line> {
  const client = await pool.connect()
  client.on('error', () => undefined)
  return { client, end: () => client.release(true) }
}

async function importDriver(path: string) {
  try {
    return (await import('pg')).default
  } catch (cause) {
    const isMissing =
      cause instanceof Error && 'code' in cause && String(cause.code).endsWith('MODULE_NOT_FOUND')
    if (!isMissing) throw cause
    throw new PairingStoreError('STORE_DRIVER_MISSING', { path, fix: 'npm install pg' }, { cause })
  }
}
