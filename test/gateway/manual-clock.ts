import type { GateClock } from '@holdfast/gateway'

/** Time that moves only when a test says so. */
export class ManualClock implements GateClock {
  #nowMs: number
  #timers: { readonly dueMs: number; readonly callback: () => void }[] = []

  constructor(startMs = Date.now()) {
    this.#nowMs = startMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Lets the time pass, and calls back whatever falls due on the way, in order. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs
    for (;;) {
      const due = this.#timers.filter(timer => timer.dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0]
      if (due === undefined) break
      this.#timers = this.#timers.filter(other => other !== due)
      this.#nowMs = Math.max(this.#nowMs, due.dueMs)
      due.callback()
    }
    this.#nowMs = endMs
  }
}
