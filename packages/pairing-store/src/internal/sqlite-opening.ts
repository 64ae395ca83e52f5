import { inTransaction, retryWhileBusy } from './busy-retry.ts'
import { stopwatchMs } from './machine-clock.ts'
import { checkSchema, migrate, SCHEMA_VERSION } from './migrations.ts'
import { prepareQueries, type Queries } from './queries.ts'
import { SQLITE_DIALECT, SqliteConnection } from './sqlite-connection.ts'
import { SqliteDriver } from './sqlite-driver.ts'
import { toStoreError } from './sqlite-errors.ts'
import { prepareStoreFile } from './sqlite-file.ts'

/** FULL: a commit is on the disk before it is answered, not only after the next checkpoint. */
const WRITER_SETTINGS = 'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL'
/** 16 MiB of pages: enough for the tops of the trees and the devices that come back, with a million devices known. */
const READER_SETTINGS = 'PRAGMA cache_size = -16384'

export interface SqliteDriverOptions {
  readonly path: string
  readonly busyTimeoutMs: number
  readonly nowMs: number
}

/** Open a store's file, making or migrating it where needed. */
export async function openSqliteDriver(options: SqliteDriverOptions): Promise<SqliteDriver> {
  const { path, busyTimeoutMs } = options
  await prepareStoreFile(path, options.nowMs)
  const deadline = { startedMs: stopwatchMs(), busyTimeoutMs }
  const opened: SqliteConnection[] = []
  try {
    const reader = await retryWhileBusy(path, deadline, () => openConnection(path, true, opened))
    const queries = prepareQueries(reader.db)
    const version = await retryWhileBusy(path, deadline, () => schemaVersion(reader, queries))
    checkSchema(path, version)
    const writer = await retryWhileBusy(path, deadline, () => openConnection(path, false, opened))
    if (version < SCHEMA_VERSION) await retryWhileBusy(path, deadline, () => upgrade(path, writer, queries))
    return new SqliteDriver(path, busyTimeoutMs, { writer, reader, queries })
  } catch (error) {
    for (const connection of opened) connection.close()
    throw toStoreError(path, error, 'reading')
  }
}

function openConnection(path: string, readOnly: boolean, opened: SqliteConnection[]): SqliteConnection {
  const connection = new SqliteConnection(path, { readOnly })
  try {
    connection.run(readOnly ? READER_SETTINGS : WRITER_SETTINGS)
    opened.push(connection)
    return connection
  } catch (error) {
    connection.close()
    throw error
  }
}

function schemaVersion(connection: SqliteConnection, queries: Queries): number {
  return connection.allNow(queries.schemaVersion, {})[0]?.version ?? 0
}

async function upgrade(path: string, writer: SqliteConnection, queries: Queries): Promise<void> {
  await inTransaction(writer, async () => {
    const version = schemaVersion(writer, queries)
    checkSchema(path, version)
    if (version < SCHEMA_VERSION) await migrate(writer.db, version, SQLITE_DIALECT)
  })
}
