import type { Kysely } from 'kysely'
import type { ChangeListener } from '../changes.ts'
import { PairingStoreError } from '../errors.ts'
import { stopwatchMs } from './machine-clock.ts'
import { Disconnected, isServersWord, kyselyOver, type PostgresSession } from './postgres-client.ts'
import { busy, CommitLost, isLockTimeout, isWorthAnother, NoneFree, toStoreError } from './postgres-errors.ts'
import { type FeedSource, PostgresFeed } from './postgres-feed.ts'
import { type PostgresHead, READ_HEAD } from './postgres-head.ts'
import type { PostgresLeases } from './postgres-leases.ts'
import { prepareQueries } from './queries.ts'
import type { Schema } from './schema.ts'
import type { PreparedQuery, Session, SqlDriver } from './sql-driver.ts'

/** `hold`, and which lock of ours: whoever changes trust has it until the commit. Advisory locks are a database's own. */
const LOCK = `select pg_advisory_xact_lock(${0x686f6c64}, 1)`

/** Connections that broke while nobody looked are no reason to fail a call: so many are tried. */
const ATTEMPTS = 3

export interface PostgresDriverOptions {
  readonly path: string
  readonly busyTimeoutMs: number
  readonly answerMs: number
  readonly leases: PostgresLeases
  readonly head: PostgresHead
  readonly openLine: FeedSource['openLine']
  readonly endPool: () => Promise<void>
}

/** A store on a server: connections of a pool for what is asked, and one that listens while anybody wants to be told. */
export class PostgresDriver implements SqlDriver {
  /** Compiles. What runs has a connection, and the builder of that. */
  readonly db: Kysely<Schema> = kyselyOver(() => Promise.reject(new Error('it only compiles')))
  readonly #options: PostgresDriverOptions
  readonly #feed: PostgresFeed
  #turn: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | null = null

  constructor(options: PostgresDriverOptions) {
    this.#options = options
    this.#feed = new PostgresFeed({
      queries: prepareQueries(this.db),
      answerMs: options.answerMs,
      openLine: options.openLine,
      check: session => options.head.check(session),
      pool: { all: (query, values) => this.#reading(session => session.all(query, values)) },
    })
  }

  async all<Values, Row>(query: PreparedQuery<Values, Row>, values: Values): Promise<readonly Row[]> {
    this.#assertOpen()
    await this.#feed.ready
    return this.#reading(session => session.all(query, values))
  }

  async transact<Result>(
    work: (session: Session) => Promise<Result>,
    mostMs: number = Number.POSITIVE_INFINITY,
  ): Promise<Result> {
    this.#assertOpen()
    const startedMs = stopwatchMs()
    const waitMs = Math.min(mostMs, this.#options.busyTimeoutMs)
    // One at a time: those of this process would only wait for each other, each with a connection that readers lack.
    const mine = this.#turn.then(() => this.#writing(work, { startedMs, waitMs }))
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  async published(): Promise<void> {
    // It was committed: whatever is in the way now, the line that listens will make good for it.
    await this.#feed.drain().catch(() => undefined)
  }

  subscribe(listener: ChangeListener): () => void {
    this.#assertOpen()
    return this.#feed.add(listener)
  }

  errorFor(cause: unknown): unknown {
    return toStoreError(this.#options.path, cause)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#turn
    this.#feed.stop()
    await this.#options.endPool()
  }

  async #reading<Result>(use: (session: PostgresSession) => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#options.leases.use(this.#options.answerMs, use)
      } catch (error) {
        if (attempt === ATTEMPTS || !isWorthAnother(error)) throw this.errorFor(error)
      }
    }
  }

  async #writing<Result>(
    work: (session: Session) => Promise<Result>,
    { startedMs, waitMs }: { readonly startedMs: number; readonly waitMs: number },
  ): Promise<Result> {
    await this.#feed.ready
    const { path } = this.#options
    for (let attempt = 1; ; attempt += 1) {
      const waitedMs = Math.round(stopwatchMs() - startedMs)
      if (waitedMs > waitMs) throw busy(path, waitedMs)
      try {
        return await this.#attempt(work, waitMs - waitedMs)
      } catch (error) {
        if (isLockTimeout(error)) throw busy(path, Math.round(stopwatchMs() - startedMs), error)
        if (attempt === ATTEMPTS || !isWorthAnother(error)) throw this.errorFor(error)
      }
    }
  }

  #attempt<Result>(work: (session: Session) => Promise<Result>, leftMs: number): Promise<Result> {
    const { leases, answerMs } = this.#options
    const waitMs = Math.max(1, leftMs)
    return leases.use(Math.max(waitMs, answerMs), async session => {
      try {
        await session.script(beginScript(waitMs, answerMs), waitMs)
        const result = await work(session)
        await this.#commit(session)
        return result
      } catch (error) {
        await rollBack(session, error)
        throw error
      }
    })
  }

  /** The head comes with it, so that a server which has lost this very transaction is told later. */
  async #commit(session: PostgresSession): Promise<void> {
    try {
      const answers = await session.script(`${READ_HEAD}; commit`)
      if (answers.at(-1)?.command !== 'COMMIT') throw new Error('the transaction was aborted')
      const [head] = (answers[0]?.rows ?? []) as Parameters<PostgresHead['note']>[0][]
      if (head !== undefined) this.#options.head.note(head)
    } catch (error) {
      const gone = error instanceof Disconnected || (isServersWord(error) && error.code.startsWith('57P'))
      throw gone ? new CommitLost('', { cause: error }) : error
    }
  }

  #assertOpen(): void {
    if (this.#closing === null) return
    const { path } = this.#options
    throw new PairingStoreError('STORE_CLOSED', { path, fix: 'Open the store again.' })
  }
}

/**
 * The start of a transaction in which nobody else changes trust, nor the tables. A client that was cut off holds the lock
 * until the server gives it up: TCP alone would take hours to notice.
 */
export function beginScript(waitMs: number, answerMs: number): string {
  const settings = [
    `lock_timeout = ${Math.ceil(waitMs)}`,
    `statement_timeout = ${Math.ceil(waitMs + answerMs)}`,
    `idle_in_transaction_session_timeout = ${Math.ceil(answerMs)}`,
  ]
  return `begin; ${settings.map(setting => `set local ${setting}; `).join('')}${LOCK}`
}

export async function rollBack(session: PostgresSession, error: unknown): Promise<void> {
  if (error instanceof CommitLost || error instanceof Disconnected || error instanceof NoneFree) return
  try {
    await session.script('rollback')
  } catch (cause) {
    // Then the connection is gone, and the transaction with it; it is not given back.
    throw new Disconnected(cause)
  }
}
