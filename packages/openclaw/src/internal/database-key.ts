import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { OpenClawError } from '../errors.ts'
import { checkedKey, errnoOf, type ForeignKey } from './foreign-key.ts'
import { booksOfRows, type OpenClawBooks } from './openclaw-books.ts'

/**
 * The key in the database of OpenClaw 2026.9, or `null` where it holds none yet. Nothing is written into its directory, not
 * even the files that a reader of a write-ahead log makes for itself: while there is a log we read beside its owner, who
 * keeps those files there; without a log the database is complete, and is read as one that does not change.
 *
 * @throws {@link OpenClawError} `OPENCLAW_KEY_DAMAGED`, `OPENCLAW_KEY_UNREADABLE`
 */
export function readDatabaseKey(path: string): ForeignKey | null {
  const row = readFrom(path, database =>
    database
      .prepare(`select private_key_pem, public_key_pem, created_at_ms
        from device_identities where identity_key = 'primary'`)
      .get(),
  )
  if (row === undefined) return null
  const { private_key_pem: privateKeyPem, public_key_pem: publicKeyPem, created_at_ms: createdAtMs } = row
  return checkedKey(path, JSON.stringify({ version: 1, privateKeyPem, publicKeyPem, createdAtMs }))
}

/**
 * The books of a gateway of 2026.9, read in the same way.
 *
 * @throws {@link OpenClawError} `OPENCLAW_KEY_UNREADABLE`
 */
export function readDatabaseBooks(path: string): OpenClawBooks {
  return readFrom(path, database =>
    booksOfRows({
      paired: database.prepare('select * from device_pairing_paired').all(),
      pending: database.prepare('select * from device_pairing_pending').all(),
      kept: database.prepare('select device_id, role, token from device_auth_tokens').all(),
    }),
  )
}

function readFrom<Result>(path: string, read: (database: DatabaseSync) => Result): Result {
  const logged = existsSync(`${path}-wal`)
  if (logged && !existsSync(`${path}-shm`)) {
    const fix = 'Start OpenClaw once and stop it, so that it finishes what was interrupted.'
    throw new OpenClawError('OPENCLAW_KEY_UNREADABLE', { path, errno: 'LOG_UNFINISHED', fix })
  }
  const url = pathToFileURL(path)
  if (!logged) url.searchParams.set('immutable', '1')
  try {
    const database = new DatabaseSync(url, { readOnly: true, timeout: 5_000 })
    try {
      return read(database)
    } finally {
      database.close()
    }
  } catch (cause) {
    const fix = 'See whether this is the database of OpenClaw 2026.9, and whether this user may read it.'
    throw new OpenClawError('OPENCLAW_KEY_UNREADABLE', { path, errno: errnoOf(cause), fix }, { cause })
  }
}
