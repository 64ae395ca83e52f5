import type { PairingStore, StoreChange } from '@holdfast/pairing-store'
import type { GateClock } from './clock.ts'
import { type EventOutlet, faultyPart } from './gate-events.ts'
import type { CurrentToken } from './gateway-token.ts'

const INTERVAL_MS = 5_000

export interface TokenWatchOptions {
  readonly token: CurrentToken
  readonly store: PairingStore
  readonly clock: GateClock
  readonly events: EventOutlet
}

/**
 * Notices a rotation though nobody connects, and keeps the store at the token of the source: writers that overlap can
 * leave another generation there, by which nobody could register. The source is right, never the store.
 */
export class TokenWatch {
  readonly #options: TokenWatchOptions
  #unsubscribe: (() => void) | null = null
  #callOff: (() => void) | null = null
  /** Two gates on one store with different tokens would else overwrite each other without end. */
  #followedInInterval = false
  #isClosed = false

  constructor(options: TokenWatchOptions) {
    this.#options = options
  }

  /** To be called when the token has been read once. */
  begin(): void {
    if (this.#isClosed || this.#unsubscribe !== null) return
    this.#unsubscribe = this.#options.store.subscribe(change => this.#onChange(change))
    this.#schedule()
  }

  close(): void {
    this.#isClosed = true
    this.#unsubscribe?.()
    this.#callOff?.()
  }

  #schedule(): void {
    this.#callOff = this.#options.clock.after(INTERVAL_MS, () => {
      this.#schedule()
      this.#followedInInterval = false
      this.#try(this.#compare())
    })
  }

  #onChange(change: StoreChange): void {
    const { token } = this.#options
    if (change.kind !== 'gateway-token-changed' || token.serves(change.generationId)) return
    if (this.#followedInInterval) return
    this.#followedInInterval = true
    this.#try(token.restore())
  }

  async #compare(): Promise<void> {
    const { token, store } = this.#options
    await token.read()
    const current = await store.findGatewayToken()
    if (!token.serves(current?.generationId ?? null)) await token.restore()
  }

  #try(attempt: Promise<void>): void {
    attempt.catch(error => this.#options.events.fault(faultyPart(error), error))
  }
}
