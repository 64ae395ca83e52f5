import { statSync } from 'node:fs'
import type { Kysely } from 'kysely'
import type { ChangeListener } from '../changes.ts'
import { PairingStoreError } from '../errors.ts'
import { inTransaction, retryWhileBusy } from './busy-retry.ts'
import { ChangeFeed } from './change-feed.ts'
import { stopwatchMs } from './machine-clock.ts'
import type { Queries } from './queries.ts'
import type { Schema } from './schema.ts'
import type { PreparedQuery, Session, SqlDriver } from './sql-driver.ts'
import type { SqliteConnection } from './sqlite-connection.ts'
import { busy, isBusy, toStoreError } from './sqlite-errors.ts'

const POLL_MS = 100
const LOOK_MS = 1_000
/** A store's file: one connection that writes, and one that reads and so never waits for a writer. */
export class SqliteDriver implements SqlDriver {
  readonly #path: string
  readonly #busyTimeoutMs: number
  readonly #writer: SqliteConnection
  readonly #reader: SqliteConnection
  readonly #file: FileIdentity
  readonly #feed: ChangeFeed
  #turn: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | null = null
  #dataVersion: unknown = null
  #lookedAtMs = stopwatchMs()
  #closing: Promise<void> | null = null
  #ended: 'closed' | 'replaced' | 'unreadable' | null = null

  constructor(
    path: string,
    busyTimeoutMs: number,
    open: { readonly writer: SqliteConnection; readonly reader: SqliteConnection; readonly queries: Queries },
  ) {
    this.#path = path
    this.#busyTimeoutMs = busyTimeoutMs
    this.#writer = open.writer
    this.#reader = open.reader
    this.#file = statSync(path, { bigint: true })
    const { reader, queries } = open
    this.#feed = new ChangeFeed({
      position: () => {
        const store = reader.allNow(queries.store, {})[0]
        return { lastSequence: store?.last_sequence ?? 0, droppedThrough: store?.dropped_through ?? 0 }
      },
      changesAfter: (sequence, limit) => reader.allNow(queries.changesAfter, { sequence, limit }),
    })
  }

  get db(): Kysely<Schema> {
    return this.#writer.db
  }

  async all<Values, Row>(query: PreparedQuery<Values, Row>, values: Values): Promise<readonly Row[]> {
    this.#assertOpen()
    try {
      return this.#reader.allNow(query, values)
    } catch (error) {
      if (!isBusy(error)) throw toStoreError(this.#path, error, 'reading')
    }
    // Rare: somebody recovers the log after a crash.
    const deadline = { startedMs: stopwatchMs(), busyTimeoutMs: this.#busyTimeoutMs }
    return retryWhileBusy(this.#path, deadline, () => {
      this.#assertUsable()
      return this.#reader.allNow(query, values)
    })
  }

  async transact<Result>(
    work: (session: Session) => Promise<Result>,
    mostMs: number = Number.POSITIVE_INFINITY,
  ): Promise<Result> {
    this.#assertOpen()
    const busyTimeoutMs = Math.min(mostMs, this.#busyTimeoutMs)
    const deadline = { startedMs: stopwatchMs(), busyTimeoutMs }
    const mine = this.#turn.then(() =>
      retryWhileBusy(this.#path, deadline, () => {
        this.#assertUsable()
        return inTransaction(this.#writer, () => work(this.#writer))
      }),
    )
    this.#turn = mine.then(
      () => undefined,
      () => undefined,
    )
    try {
      return await mine
    } catch (error) {
      throw toStoreError(this.#path, error, 'writing')
    }
  }

  published(): void {
    if (this.#ended === null) this.#read(() => this.#feed.drain())
  }

  subscribe(listener: ChangeListener): () => void {
    this.#assertOpen()
    const remove = this.#addListener(listener)
    if (this.#timer === null) {
      this.#timer = setInterval(() => this.#poll(), POLL_MS).unref()
    }
    return () => {
      remove()
      if (!this.#feed.listened) this.#stopPolling()
    }
  }

  errorFor(cause: unknown): unknown {
    return toStoreError(this.#path, cause, 'reading')
  }

  #addListener(listener: ChangeListener): () => void {
    try {
      return this.#feed.add(listener)
    } catch (error) {
      throw isBusy(error) ? busy(this.#path, 0, error) : this.errorFor(error)
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#turn
    this.#ended = 'closed'
    this.#stopPolling()
    this.#reader.close()
    this.#writer.close()
  }

  #poll(): void {
    this.#look()
    if (this.#ended !== null) return
    this.#read(() => {
      const version = this.#reader.pragma('data_version')
      if (version === this.#dataVersion) return
      this.#feed.drain()
      this.#dataVersion = version
    })
  }

  /** For readings that nobody awaits: what is in the way now is tried again at the next poll. */
  #read(reading: () => void): void {
    try {
      reading()
    } catch (error) {
      if (!isBusy(error)) this.#lose('unreadable')
    }
  }

  #stopPolling(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw this.#endError('closed')
    this.#assertUsable()
  }

  #assertUsable(): void {
    this.#look()
    if (this.#ended !== null) throw this.#endError(this.#ended)
  }

  #endError(end: 'closed' | 'replaced' | 'unreadable'): PairingStoreError {
    const path = this.#path
    const reopen = 'Open the store again.'
    const compare = `Open the store again, once you know that this is the right file: ls -la '${path}'`
    if (end === 'closed') return new PairingStoreError('STORE_CLOSED', { path, fix: reopen })
    if (end === 'replaced') return new PairingStoreError('STORE_REPLACED', { path, fix: compare })
    return new PairingStoreError('STORE_UNREADABLE', { path, reason: 'io', fix: reopen })
  }

  // A file that was replaced, by a backup for one, lives on under our descriptors: nobody else reads or writes it.
  #look(): void {
    const nowMs = stopwatchMs()
    if (this.#ended !== null || nowMs - this.#lookedAtMs < LOOK_MS) return
    this.#lookedAtMs = nowMs
    const now = fileAt(this.#path)
    if (now === 'unreadable') this.#lose(now)
    else if (now?.ino !== this.#file.ino || now.dev !== this.#file.dev) this.#lose('replaced')
  }

  #lose(reason: 'replaced' | 'unreadable'): void {
    this.#ended = reason
    this.#stopPolling()
    this.#feed.lose(reason)
  }
}

interface FileIdentity {
  readonly dev: bigint
  readonly ino: bigint
}

/** Which file is at the path now, or `null` for none. */
function fileAt(path: string): FileIdentity | null | 'unreadable' {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return 'unreadable'
    throw error
  }
}
