import { constants } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Explanation } from '@holdfast/handshake'
import type { StateLocation } from '@holdfast/identity/state'
import type { GateClock } from './clock.ts'
import type { GateEvent, GateListener } from './gate-events.ts'

/** One line of the log: what a gate did, when, and where a `connect` was decided on, why. */
export interface DecisionEntry {
  readonly atMs: number
  readonly event: Exclude<GateEvent, { readonly event: 'fault' }>
  readonly explanation: Explanation | null
}

/** Where the log lies in a state directory: what is written now, and what was before. Whoever owns the install reads both. */
export function decisionLogPaths(location: Pick<StateLocation, 'directory'>): {
  readonly current: string
  readonly former: string
} {
  return {
    current: join(location.directory, 'decisions.jsonl'),
    former: join(location.directory, 'decisions.former.jsonl'),
  }
}

/** So large each of the two files becomes at most, give or take one batch. */
const MOST_BYTES = 2 * 2 ** 20
/** As many entries wait for the next batch at most; in a flood the rest is not written down. */
const MOST_WAITING = 4_096
const BATCH_MS = 200

/**
 * A bounded log of decisions beside the key of an install, by which its owner can ask why, with the gateway running or not.
 * Written behind, in batches: no admission waits for it, and where it cannot be written the gate goes on without it.
 */
export class DecisionLog {
  readonly #paths: { readonly current: string; readonly former: string }
  readonly #clock: GateClock
  #waiting: DecisionEntry[] = []
  #callOff: (() => void) | null = null
  #writing: Promise<void> = Promise.resolve()
  #warned = false

  constructor(location: StateLocation, clock: GateClock) {
    this.#paths = decisionLogPaths(location)
    this.#clock = clock
  }

  readonly note: GateListener = (event, explanation) => {
    if (event.event === 'fault' || this.#waiting.length >= MOST_WAITING) return
    this.#waiting.push({ atMs: this.#clock.nowMs(), event, explanation })
    this.#callOff ??= this.#clock.after(BATCH_MS, () => {
      this.#callOff = null
      this.#flush()
    })
  }

  /** Writes what still waits. */
  async close(): Promise<void> {
    this.#callOff?.()
    this.#callOff = null
    this.#flush()
    await this.#writing
  }

  #flush(): void {
    const entries = this.#waiting.splice(0)
    if (entries.length === 0) return
    this.#writing = this.#writing.then(() => this.#write(entries)).catch(error => this.#warn(error))
  }

  async #write(entries: readonly DecisionEntry[]): Promise<void> {
    const { current, former } = this.#paths
    const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW } = constants
    // Nothing but a file of ours: a link would have the gate write where somebody else wants it to.
    const file = await open(current, O_APPEND | O_CREAT | O_WRONLY | (O_NOFOLLOW ?? 0), 0o600)
    try {
      await file.appendFile(entries.map(entry => `${JSON.stringify(entry)}\n`).join(''))
      if ((await file.stat()).size < MOST_BYTES) return
    } finally {
      await file.close()
    }
    await rename(current, former)
  }

  #warn(error: unknown): void {
    if (this.#warned) return
    this.#warned = true
    process.emitWarning(error instanceof Error ? error : String(error), 'HoldfastDecisionLog')
  }
}
