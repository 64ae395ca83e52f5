import { resolve } from 'node:path'
import type { AuditFlaw, AuditHead } from './audit.ts'
import { checkWhole } from './internal/sqlite-check.ts'
import { SqliteConnection } from './internal/sqlite-connection.ts'
import { toStoreError } from './internal/sqlite-errors.ts'
import { checkStoreFile } from './internal/sqlite-file.ts'

/** The first thing that is wrong with a store or a copy of one. */
export type StoreFlaw =
  /** What SQLite's own check of the file says: its first ten complaints. */
  | { readonly part: 'file'; readonly complaints: readonly string[] }
  /** Rows that name a device that is not there. */
  | { readonly part: 'references'; readonly tables: readonly string[] }
  /** Tables, indexes or triggers that this schema has and the file has not, or the other way round. */
  | { readonly part: 'schema'; readonly missing: readonly string[]; readonly foreign: readonly string[] }
  /** The audit log, from this entry on. */
  | { readonly part: 'audit'; readonly sequence: number; readonly flaw: AuditFlaw }

/** Is a store, or a copy of one, what was written? */
export type StoreVerdict =
  | {
      readonly outcome: 'intact'
      readonly storeId: string
      readonly schema: number
      /** `null`: its schema is older than the audit log. */
      readonly head: AuditHead | null
      /** How many changes went through without an audit entry. */
      readonly unaudited: number
      readonly devices: number
      /** Is it a copy that was made without secrets, and not used since? */
      readonly withoutSecrets: boolean
    }
  | { readonly outcome: 'broken'; readonly flaw: StoreFlaw }

export interface VerifyOptions {
  /** A store that may be in use, or a copy. It is only read. */
  readonly path: string
  /** A head that was kept elsewhere: the log must have that entry. */
  readonly expectedHead?: AuditHead
}

/**
 * Go through all of a store or a copy, as it is at one moment: the pages of the file, what names what, its tables against
 * those of its schema, and the chain of the audit log up to its head. Nothing is written, and nobody waits for it.
 *
 * @throws {@link PairingStoreError} `STORE_UNREADABLE`, `STORE_NOT_A_DATABASE`, `STORE_FOREIGN`, `STORE_SCHEMA_NEWER`:
 * there is nothing to go through.
 */
export async function verifySqliteStore(options: VerifyOptions): Promise<StoreVerdict> {
  const path = resolve(options.path)
  checkStoreFile(path)
  try {
    const connection = new SqliteConnection(path, { readOnly: true })
    try {
      return await checkWhole(connection, path, options.expectedHead ?? null)
    } finally {
      connection.close()
    }
  } catch (error) {
    throw toStoreError(path, error, 'reading')
  }
}
