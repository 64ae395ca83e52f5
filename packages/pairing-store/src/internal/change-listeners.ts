import type { ChangeListener, StoreChange } from '../changes.ts'
import { toChange } from './rows.ts'
import type { ChangeTable } from './schema.ts'

/** How many changes are read at a time. */
export const CHANGE_BATCH = 1_000

/** Hands each change to each listener once, in the order of the log. */
export class ChangeListeners {
  readonly #listeners = new Set<{ readonly tell: ChangeListener }>()
  /** The number of the last change that was told. */
  sequence = 0

  get listened(): boolean {
    return this.#listeners.size > 0
  }

  add(listener: ChangeListener): () => void {
    const entry = { tell: listener }
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  /** Do these rows leave something out, that was dropped from the log or rolled back? */
  isGapBefore(rows: readonly ChangeTable[]): boolean {
    const first = rows[0]
    return first !== undefined && first.sequence > this.sequence + 1
  }

  /** Tell what these rows hold, the next of the log. */
  take(rows: readonly ChangeTable[]): void {
    for (const row of rows) {
      this.sequence = row.sequence
      const change = toChange(row)
      if (change !== null) this.tell(change)
    }
  }

  /** Everything up to this number can be told no more. */
  miss(through: number): void {
    this.sequence = through
    this.tell({ sequence: through, kind: 'changes-missed' })
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
    this.tell({ sequence: this.sequence, kind: 'store-lost', reason })
    this.#listeners.clear()
  }
}
