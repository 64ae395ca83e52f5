import type { ChangeListener } from '../changes.ts'
import { CHANGE_BATCH, ChangeListeners } from './change-listeners.ts'
import type { ChangeTable } from './schema.ts'

/** Where a feed reads: what is in the log after a number, and through which number changes were dropped from it. */
export interface ChangeSource {
  readonly position: () => { readonly lastSequence: number; readonly droppedThrough: number }
  readonly changesAfter: (sequence: number, limit: number) => readonly ChangeTable[]
}

/** The listeners of a log that is read without waiting. */
export class ChangeFeed {
  readonly #source: ChangeSource
  readonly #listeners = new ChangeListeners()
  #draining = false

  constructor(source: ChangeSource) {
    this.#source = source
  }

  get listened(): boolean {
    return this.#listeners.listened
  }

  /** From now on; what is in the log already is not told. */
  add(listener: ChangeListener): () => void {
    if (!this.listened) this.#listeners.sequence = this.#source.position().lastSequence
    return this.#listeners.add(listener)
  }

  /** Tell everything that is in the log and was not told. A listener that writes does not make this run inside itself. */
  drain(): void {
    if (!this.listened || this.#draining) return
    this.#draining = true
    try {
      while (this.#drainBatch() === CHANGE_BATCH);
    } finally {
      this.#draining = false
    }
  }

  #drainBatch(): number {
    const rows = this.#source.changesAfter(this.#listeners.sequence, CHANGE_BATCH)
    if (this.#listeners.isGapBefore(rows)) {
      const { droppedThrough } = this.#source.position()
      if (droppedThrough > this.#listeners.sequence) this.#listeners.miss(droppedThrough)
    }
    this.#listeners.take(rows)
    return rows.length
  }

  /** The last thing that anybody is told. */
  lose(reason: 'replaced' | 'unreadable'): void {
    this.#listeners.lose(reason)
  }
}
