import { resolve } from 'node:path'
import { BUILT_IN_ROLES, type RoleDeclarations } from '@holdfast/handshake'
import { machineMs } from './internal/machine-clock.ts'
import { checkSchema } from './internal/migrations.ts'
import { SqlStore } from './internal/sql-store.ts'
import { openSqliteDriver } from './internal/sqlite-opening.ts'
import type { PairingStore } from './pairing-store.ts'

/** What every kind of store takes. */
export interface StoreOptions {
  /** Milliseconds since the epoch. @defaultValue `Date.now` */
  readonly clock?: () => number
  /** The roles before a gate has written its settings. @defaultValue `BUILT_IN_ROLES` */
  readonly roles?: RoleDeclarations
  /** How long a mutation waits while others write, in ms, before it rejects with `STORE_BUSY`. @defaultValue 5000 */
  readonly busyTimeoutMs?: number
  /**
   * `required`: a change whose audit entry cannot be written is not made (`STORE_AUDIT_FAILED`). `when-possible`: it is
   * made, and counted as unaudited. Either way an entry is part of the transaction that it tells of.
   *
   * @defaultValue 'required'
   */
  readonly audit?: 'required' | 'when-possible'
}

export interface SqliteStoreOptions extends StoreOptions {
  /** The file. It is made where it is missing (0600; its directory 0700), and never replaced. */
  readonly path: string
}

/**
 * Open the pairing store in a file, making it the first time.
 *
 * Any number of processes may have it open. What a call has answered is on disk. Waiting for others never holds up the
 * event loop. Whatever is at the path and is not a store of ours is refused and left as it is.
 *
 * @throws {@link PairingStoreError} `STORE_NOT_A_DATABASE`, `STORE_FOREIGN`, `STORE_SCHEMA_NEWER`, `STORE_EXPOSED`,
 * `STORE_NOT_WRITABLE`, `STORE_UNREADABLE`, `STORE_BUSY`.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<PairingStore> {
  return openSqlStore(options)
}

/** The same, with what only this package may do with it. */
export async function openSqlStore(options: SqliteStoreOptions): Promise<SqlStore> {
  const { clock = machineMs, roles = BUILT_IN_ROLES, busyTimeoutMs = 5_000, audit = 'required' } = options
  const path = resolve(options.path)
  const driver = await openSqliteDriver({ path, busyTimeoutMs, nowMs: clock() })
  return SqlStore.open(driver, { clock, roles, audit, checkSchema: found => checkSchema(path, found) })
}
