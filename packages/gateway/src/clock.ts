/** Time, as a gate sees it: one thing to hand over, so that nothing in it waits for a real minute in a test. */
export interface GateClock {
  /** Milliseconds since the epoch. */
  nowMs(): number
  /** Call back once, `delayMs` from now. Returns how to call it off. Must not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void
}

/** The machine's own clock. */
export const systemClock: GateClock = {
  nowMs: () => Date.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}
