import type { StoreFlaw } from './verification.ts'

/**
 * Everything the pairing store can fail at, and the facts it hands over when it does. No fact is secret: `path` is that of
 * the file, or the server's address without user and password.
 */
export interface PairingStoreFailures {
  /** Others were writing for as long as we were told to wait. Nothing was written. */
  STORE_BUSY: { readonly path: string; readonly waitedMs: number; readonly fix: string }
  /** The file is there, but the system or SQLite cannot read it. It was left as it is. */
  STORE_UNREADABLE: { readonly path: string; readonly reason: UnreadableReason; readonly fix: string }
  /** The file is not an SQLite database (an empty one neither). It was left as it is. */
  STORE_NOT_A_DATABASE: { readonly path: string; readonly reason: 'empty' | 'format'; readonly fix: string }
  /** The file is the database of another program. It was left as it is. */
  STORE_FOREIGN: { readonly path: string; readonly fix: string }
  /** A newer version of this package wrote the store. It was left as it is. */
  STORE_SCHEMA_NEWER: {
    readonly path: string
    readonly found: number
    readonly known: number
    readonly fix: string
  }
  /** Somebody else may write the store, or replace it, and so give authority to whom they like. */
  STORE_EXPOSED: { readonly path: string; readonly mode: number; readonly fix: string }
  /** The store belongs to another user, or its directory cannot be written. `null`: the platform has no uids. */
  STORE_NOT_WRITABLE: {
    readonly path: string
    readonly ownerUid: number | null
    readonly uid: number | null
    readonly fix: string
  }
  /** A write did not get through to the disk. It was rolled back. */
  STORE_WRITE_FAILED: {
    readonly path: string
    readonly reason: 'disk-full' | 'read-only' | 'io' | 'permission'
    readonly fix: string
  }
  /** The database server cannot be asked, or does not answer in time. Nothing was written. */
  STORE_UNREACHABLE: { readonly path: string; readonly reason: UnreachableReason; readonly fix: string }
  /** The connection went while the server was told to commit: the change was made, or it was not. */
  STORE_OUTCOME_UNKNOWN: { readonly path: string; readonly fix: string }
  /** The package that speaks to PostgreSQL, which the program supplies, is not installed. */
  STORE_DRIVER_MISSING: { readonly path: string; readonly fix: string }
  /** The change was not made, since the audit log cannot take its entry. */
  STORE_AUDIT_FAILED: { readonly path: string; readonly fix: string }
  /**
   * The store is not what it was: its audit log ends before an entry that was seen, or took another course, or it is
   * another store. Whoever was revoked since would be back.
   */
  STORE_ROLLED_BACK: {
    readonly path: string
    readonly reason: 'behind' | 'another-history' | 'another-store'
    /** The number of the entry that was seen, and that of the last one there is. */
    readonly expected: number
    readonly found: number
    readonly fix: string
  }
  /** The file at the path is no longer the one that was opened. What was open is of no use any more. */
  STORE_REPLACED: { readonly path: string; readonly fix: string }
  /** There is a file already where a copy was to go. It was left as it is. */
  STORE_COPY_EXISTS: { readonly path: string; readonly fix: string }
  /** The copy is not what was written. Nothing was restored. */
  STORE_COPY_BROKEN: { readonly path: string; readonly flaw: StoreFlaw; readonly fix: string }
  /**
   * Nothing here says what was revoked since the copy was made: it is restored under a new gateway token only, with every
   * device held back. Nothing was changed.
   */
  STORE_TOKEN_DEMANDED: { readonly path: string; readonly reason: SinceUnknown; readonly fix: string }
  /** {@link PairingStore.close} was called before. */
  STORE_CLOSED: { readonly path: string; readonly fix: string }
}

export type UnreadableReason = 'permission' | 'not-a-file' | 'damaged' | 'io' | 'missing'

/** Why the store as it is now does not say what was revoked since a copy was made. */
export type SinceUnknown =
  | 'missing'
  | 'unreadable'
  /** It is another store, or took another course than the copy. */
  | 'another-store'
  | 'another-history'
  /** It is older than the copy, or than the audit head that was kept elsewhere. */
  | 'behind'
  | 'audit-broken'
  /** Changes went through without an audit entry. */
  | 'unaudited'

/**
 * `refused`: nothing listens there. `lost`: a connection broke. `timeout`: no answer in time. `starting`: it starts, or
 * recovers. `connections`: neither the pool nor the server has one to spare. `login`: it does not let this role in.
 * `no-database`: it has none of that name. `standby`: it follows another server, and may be behind it.
 */
export type UnreachableReason =
  | 'refused'
  | 'lost'
  | 'timeout'
  | 'starting'
  | 'connections'
  | 'login'
  | 'no-database'
  | 'standby'

/** The closed set of codes of {@link PairingStoreError}. */
export type PairingStoreErrorCode = keyof PairingStoreFailures

type Sentences = { readonly [Code in PairingStoreErrorCode]: (detail: PairingStoreFailures[Code]) => string }

const sentences: Sentences = {
  STORE_BUSY: d => `${d.path} was being written by others for ${d.waitedMs} ms`,
  STORE_UNREADABLE: d => `${d.path} cannot be read (${d.reason}); it was left as it is`,
  STORE_NOT_A_DATABASE: d => `${d.path} is not a database (${d.reason}); it was left as it is`,
  STORE_FOREIGN: d => `${d.path} is the database of another program; it was left as it is`,
  STORE_SCHEMA_NEWER: d => `${d.path} has schema ${d.found}, this version knows up to ${d.known}`,
  STORE_EXPOSED: d => `${d.path} is open to other users (mode ${d.mode.toString(8)})`,
  STORE_NOT_WRITABLE: d => `${d.path} belongs to uid ${d.ownerUid}, this process runs as uid ${d.uid}`,
  STORE_WRITE_FAILED: d => `${d.path} could not be written (${d.reason})`,
  STORE_UNREACHABLE: d => `${d.path} cannot be asked (${d.reason})`,
  STORE_OUTCOME_UNKNOWN: d => `${d.path} was lost while it committed; the change was made or was not`,
  STORE_DRIVER_MISSING: d => `${d.path} needs the package pg`,
  STORE_AUDIT_FAILED: d => `${d.path} cannot take an audit entry; nothing was changed`,
  STORE_ROLLED_BACK: d =>
    `${d.path} has ${d.found} audit entries, and entry ${d.expected} was seen already (${d.reason})`,
  STORE_REPLACED: d => `${d.path} is no longer the file that was opened`,
  STORE_COPY_EXISTS: d => `${d.path} is there already; it was left as it is`,
  STORE_COPY_BROKEN: d => `${d.path} is not what was written (${d.flaw.part}); nothing was restored`,
  STORE_TOKEN_DEMANDED: d => `what was revoked since cannot be told from ${d.path} (${d.reason})`,
  STORE_CLOSED: d => `${d.path} was closed`,
}

/**
 * The one error class of this package. `code` is from a closed set, `detail` holds the facts of that code
 * ({@link PairingStoreFailures}) with what helps as `fix`, `cause` the error underneath where there is one.
 */
export class PairingStoreError<Code extends PairingStoreErrorCode = PairingStoreErrorCode> extends Error {
  override readonly name = 'PairingStoreError'
  readonly code: Code
  readonly detail: PairingStoreFailures[Code]

  constructor(code: Code, detail: PairingStoreFailures[Code], options?: { readonly cause?: unknown }) {
    super(`${code}: ${sentences[code](detail)}. ${detail.fix}`, options)
    this.code = code
    this.detail = detail
  }
}

/**
 * Whether a caught value is a {@link PairingStoreError}, and, where a code is given, one with that code.
 * It also recognises the errors of another copy of this package in the same process.
 */
export function isPairingStoreError<Code extends PairingStoreErrorCode = PairingStoreErrorCode>(
  value: unknown,
  code?: Code,
): value is PairingStoreError<Code> {
  if (!(value instanceof Error) || value.name !== 'PairingStoreError' || !('code' in value)) return false
  if (typeof value.code !== 'string' || !Object.hasOwn(sentences, value.code)) return false
  return code === undefined || value.code === code
}
