import { parsePostgresUrl } from './internal/postgres-address.ts'
import type { PairingStore } from './pairing-store.ts'
import { openPostgresStore } from './postgres.ts'
import { openSqliteStore, type StoreOptions } from './sqlite.ts'

/**
 * Open the store at a place, whichever kind it is: the path of an SQLite file, or a server's `postgres://` address.
 *
 * @throws {@link PairingStoreError} as {@link openSqliteStore} and {@link openPostgresStore} do
 */
export function openStore(place: string, options: StoreOptions = {}): Promise<PairingStore> {
  if (parsePostgresUrl(place) === null) return openSqliteStore({ path: place, ...options })
  return openPostgresStore({ url: place, ...options })
}
