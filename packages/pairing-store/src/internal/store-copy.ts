import { closeSync, openSync } from 'node:fs'
import { PairingStoreError } from '../errors.ts'
import type { StoreVerdict } from '../verification.ts'
import { retryWhileBusy } from './busy-retry.ts'
import { stopwatchMs } from './machine-clock.ts'
import { migrate, SCHEMA_VERSION } from './migrations.ts'
import { SQLITE_DIALECT, SqliteConnection } from './sqlite-connection.ts'
import { toStoreError } from './sqlite-errors.ts'
import { checkStoreFile } from './sqlite-file.ts'

/** How many pages of a copy are still to be written, and how many it has. */
export type CopyProgress = (remaining: number, total: number) => void

const BUSY_TIMEOUT_MS = 5_000

/** Copy a store, in use or not, into a new file that needs no other beside it. Later changes of the store are not in it. */
export async function copyStore(path: string, to: string, onProgress: CopyProgress): Promise<void> {
  checkStoreFile(path)
  closeSync(openSync(to, 'wx', 0o600))
  try {
    const source = new SqliteConnection(path, { readOnly: true })
    try {
      const deadline = { startedMs: stopwatchMs(), busyTimeoutMs: BUSY_TIMEOUT_MS }
      await retryWhileBusy(path, deadline, () => source.copyTo(to, onProgress))
    } finally {
      source.close()
    }
  } catch (error) {
    throw toStoreError(path, error, 'reading')
  }
  await withCopy(to, async copy => copy.run('PRAGMA journal_mode = DELETE'))
}

/** Work on a copy that nobody else has. */
export async function withCopy<Result>(
  file: string,
  use: (copy: SqliteConnection) => Promise<Result>,
): Promise<Result> {
  const copy = new SqliteConnection(file, { readOnly: false })
  try {
    return await use(copy)
  } finally {
    copy.close()
  }
}

/** Bring a copy to the schema of this version. */
export async function upgradeCopy({ db }: SqliteConnection): Promise<void> {
  const { version } = await db.selectFrom('schema_version').selectAll().executeTakeFirstOrThrow()
  if (version < SCHEMA_VERSION) await migrate(db, version, SQLITE_DIALECT)
}

/** @throws {@link PairingStoreError} `STORE_COPY_BROKEN` */
export function wholeOrThrow(
  path: string,
  verdict: StoreVerdict,
): Extract<StoreVerdict, { readonly outcome: 'intact' }> {
  if (verdict.outcome === 'intact') return verdict
  const fix = `See what is wrong with it: holdfast store verify '${path}'`
  throw new PairingStoreError('STORE_COPY_BROKEN', { path, flaw: verdict.flaw, fix })
}
