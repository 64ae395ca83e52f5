import type { ChangeListener, StoreChange } from '../changes.ts'
import { toChange } from './rows.ts'
import type { ChangeTable } from './schema.ts'

/** Where a feed reads: what is in the log after a number, and through which number changes were dropped from it. */
export interface ChangeSource {
  readonly position: () => { readonly lastSequence: number; readonly droppedThrough: number }
  readonly changesAfter: (sequence: number, limit: number) => readonly ChangeTable[]
}

const BATCH = 1_000

/** Hands each change to each listener once, in the order of the log. */
export class ChangeFeed {
  readonly #source: ChangeSource
  readonly #listeners = new Set<{ readonly tell: ChangeListener }>()
  #sequence = 0
  #draining = false

  constructor(source: ChangeSource) {
    this.#source = source
  }

  get listened(): boolean {
    return this.#listeners.size > 0
  }

  /** From now on; what is in the log already is not told. */
  add(listener: ChangeListener): () => void {
    if (!this.listened) this.#sequence = this.#source.position().lastSequence
    const entry = { tell: listener }
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  /** Tell everything that is in the log and was not told. A listener that writes does not make this run inside itself. */
  drain(): void {
    if (!this.listened || this.#draining) return
    this.#draining = true
    try {
      while (this.#drainBatch() === BATCH);
    } finally {
      this.#draining = false
    }
  }

  #drainBatch(): number {
    const rows = this.#source.changesAfter(this.#sequence, BATCH)
    const first = rows[0]
    if (first !== undefined && first.sequence > this.#sequence + 1) {
      const { droppedThrough } = this.#source.position()
      if (droppedThrough > this.#sequence) this.tell({ sequence: droppedThrough, kind: 'changes-missed' })
    }
    for (const row of rows) {
      this.#sequence = row.sequence
      const change = toChange(row)
      if (change !== null) this.tell(change)
    }
    return rows.length
  }

  tell(change: StoreChange): void {
    for (const { tell } of [...this.#listeners]) {
      try {
        tell(change)
      } catch (error) {
        // A listener's mistake is the host's to see, and must not look like a failure of the transaction.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  /** The last thing that anybody is told. */
  lose(reason: 'replaced' | 'unreadable'): void {
    this.tell({ sequence: this.#sequence, kind: 'store-lost', reason })
    this.#listeners.clear()
  }
}
