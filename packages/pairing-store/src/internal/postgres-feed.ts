import { setTimeout as wait } from 'node:timers/promises'
import type { ChangeListener } from '../changes.ts'
import { CHANGE_BATCH, ChangeListeners } from './change-listeners.ts'
import { stopwatchMs } from './machine-clock.ts'
import { type PostgresClient, PostgresSession } from './postgres-client.ts'
import type { Queries } from './queries.ts'
import type { Session } from './sql-driver.ts'

/** What the trigger on the log notifies. */
export const CHANNEL = 'holdfast_changes'

/** A connection that stays: no pool may hand it to somebody else. */
export interface Line {
  readonly client: PostgresClient
  readonly end: () => void
}

export interface FeedSource {
  readonly queries: Queries
  readonly answerMs: number
  readonly openLine: () => Promise<Line>
  /** Is it the store that was opened, and the primary? The number of its last change, where one is known. */
  readonly check: (session: PostgresSession) => Promise<number | null>
  /** Reads by whatever connection there is. */
  readonly pool: Pick<Session, 'all'>
}

/** Within this time a line that went silent is noticed, but for the time that an answer may take. */
const HEARTBEAT_MS = 2_000
const LONGEST_PAUSE_MS = 1_000

/**
 * The listeners of a log on a server. A notification only says that there is something to read: whatever got lost on the
 * way is read when the next comes, at the next heartbeat, or as soon as there is a line again. Without one the log is
 * polled.
 */
export class PostgresFeed {
  readonly #source: FeedSource
  readonly #listeners = new ChangeListeners()
  #stop: AbortController | null = null
  /** `false`: nobody could say where the log was when the first listener came. */
  #placed = false
  #ready: Promise<void> | null = null
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | null = null

  constructor(source: FeedSource) {
    this.#source = source
  }

  /** What a caller reads or writes after it has subscribed comes after the place from which it is told. */
  get ready(): Promise<void> | null {
    return this.#ready
  }

  add(listener: ChangeListener): () => void {
    const remove = this.#listeners.add(listener)
    if (this.#stop === null) this.#start()
    return () => {
      remove()
      if (!this.#listeners.listened) this.stop()
    }
  }

  /** Tell everything that was committed before this call. */
  drain(session: Pick<Session, 'all'> = this.#source.pool): Promise<void> {
    if (!this.#listeners.listened) return Promise.resolve()
    if (this.#next === null) {
      this.#next = this.#running.then(() => {
        this.#next = null
        return this.#drainNow(session)
      })
      this.#running = this.#next.catch(() => undefined)
    }
    return this.#next
  }

  stop(): void {
    this.#stop?.abort()
    this.#stop = null
  }

  #start(): void {
    const stop = new AbortController()
    this.#stop = stop
    this.#placed = false
    const ready = this.#place().finally(() => {
      if (this.#ready === ready) this.#ready = null
    })
    this.#ready = ready
    void ready.then(() => this.#watch(stop.signal))
  }

  async #place(): Promise<void> {
    try {
      this.#listeners.sequence = (await this.#position(this.#source.pool)).last_sequence
      this.#placed = true
    } catch {
      // The first that can be read says that everything before it was missed.
    }
  }

  async #watch(stopped: AbortSignal): Promise<void> {
    for (let pauseMs = 50; !stopped.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const startedMs = stopwatchMs()
      await this.#listen(stopped).catch(() => undefined)
      if (stopwatchMs() - startedMs > HEARTBEAT_MS) pauseMs = 50
      if (stopped.aborted) return
      await this.drain().catch(() => undefined)
      await wait(pauseMs * (0.5 + Math.random()), undefined, { signal: stopped }).catch(() => undefined)
    }
  }

  async #listen(stopped: AbortSignal): Promise<void> {
    const line = await this.#source.openLine()
    const broken = new AbortController()
    const end = AbortSignal.any([stopped, broken.signal])
    const session = new PostgresSession(line.client, this.#source.answerMs)
    try {
      line.client.on('error', () => broken.abort())
      line.client.on('end', () => broken.abort())
      line.client.on('notification', () => {
        this.drain(session).catch(() => broken.abort())
      })
      await this.#source.check(session)
      await session.script(`listen ${CHANNEL}`)
      await this.drain(session)
      for (;;) {
        // Each at its own time: a thousand gateways that beat together would hold each other up.
        const pauseMs = HEARTBEAT_MS * (0.5 + Math.random() / 2)
        await wait(pauseMs, undefined, { signal: end }).catch(() => undefined)
        if (end.aborted) return
        const last = await this.#source.check(session)
        if (!this.#placed || last !== this.#listeners.sequence) await this.drain(session)
      }
    } finally {
      line.end()
    }
  }

  async #drainNow(session: Pick<Session, 'all'>): Promise<void> {
    if (!this.#placed) {
      this.#listeners.miss((await this.#position(session)).last_sequence)
      this.#placed = true
      return
    }
    for (;;) {
      const { queries } = this.#source
      const { sequence } = this.#listeners
      const rows = await session.all(queries.changesAfter, { sequence, limit: CHANGE_BATCH })
      if (this.#listeners.isGapBefore(rows)) {
        const { dropped_through } = await this.#position(session)
        if (dropped_through > sequence) {
          this.#listeners.miss(dropped_through)
          continue
        }
      }
      this.#listeners.take(rows)
      if (rows.length < CHANGE_BATCH) return
    }
  }

  async #position(session: Pick<Session, 'all'>) {
    const [store] = await session.all(this.#source.queries.store, {})
    return store ?? { last_sequence: 0, dropped_through: 0 }
  }
}
