import type { AuditHead, PairingStore } from '@holdfast/pairing-store'
import type { GateClock } from './clock.ts'
import { type EventOutlet, faultyPart } from './gate-events.ts'

/** Where the head of the audit log is kept, outside of the store that it is the head of. */
export interface AuditHeadKeeper {
  /** What was kept last for this store, or `null` before the first time. */
  read(): Promise<AuditHead | null>
  write(head: AuditHead): Promise<void>
}

export interface AuditWatchOptions {
  readonly store: PairingStore
  readonly keeper: AuditHeadKeeper
  readonly clock: GateClock
  readonly events: EventOutlet
}

/** Changes within this time are kept together. */
const KEEP_WITHIN_MS = 250

/** Refuses a store that is behind what was seen of it, and keeps its head as it grows. */
export class AuditWatch {
  readonly #options: AuditWatchOptions
  #kept: AuditHead | null = null
  #turn: Promise<void> = Promise.resolve()
  #callOff: (() => void) | null = null
  #unsubscribe: (() => void) | null = null

  constructor(options: AuditWatchOptions) {
    this.#options = options
  }

  /** @throws {@link PairingStoreError} `STORE_ROLLED_BACK`, and what the keeper throws. */
  async begin(): Promise<void> {
    const { store, keeper } = this.#options
    const head = await keeper.read()
    if (head !== null) await store.requireAuditHead(head)
    this.#kept = head
    await this.#keep()
    this.#unsubscribe ??= store.subscribe(() => this.#keepSoon())
  }

  /** Keeps the head once more. */
  async close(): Promise<void> {
    this.#unsubscribe?.()
    this.#callOff?.()
    if (this.#kept !== null) await this.#keepInTurn()
  }

  #keepSoon(): void {
    this.#callOff ??= this.#options.clock.after(KEEP_WITHIN_MS, () => {
      this.#callOff = null
      void this.#keepInTurn()
    })
  }

  #keepInTurn(): Promise<void> {
    const { events } = this.#options
    this.#turn = this.#turn.then(() => this.#keep()).catch(error => events.fault(faultyPart(error), error))
    return this.#turn
  }

  async #keep(): Promise<void> {
    const { store, keeper } = this.#options
    const kept = this.#kept
    // A store that fell back under the running gateway must not take its trace along.
    if (kept !== null) await store.requireAuditHead(kept)
    const head = await store.findAuditHead()
    if (head.sequence === kept?.sequence) return
    await keeper.write(head)
    this.#kept = head
  }
}
