import { type Place, Roster } from './internal/roster.ts'

/** Peers that must not be able to crowd out each other. */
export type SocketClass = 'local' | 'remote' | 'browser'

/**
 * Who holds a place before authentication, for each class of peers. When a class is full, a newcomer takes the place of
 * a random holder: whoever floods the gate evicts mostly itself, while refusing the newest would shut everybody out.
 */
export class Budgets<Holder> {
  readonly #limit: number
  readonly #random: (below: number) => number
  readonly #evict: (holder: Holder) => void
  readonly #places: Readonly<Record<SocketClass, Roster<Holder>>> = {
    local: new Roster(),
    remote: new Roster(),
    browser: new Roster(),
  }

  /**
   * @param options.random a whole number from 0 up to, not including, its argument
   * @param options.evict called with a holder that has lost its place
   */
  constructor(options: {
    readonly limit: number
    readonly random: (below: number) => number
    readonly evict: (holder: Holder) => void
  }) {
    this.#limit = options.limit
    this.#random = options.random
    this.#evict = options.evict
  }

  /** Gives the holder a place, which is its own until it leaves it or loses it to another. */
  take(socketClass: SocketClass, holder: Holder): Place<Holder> {
    const places = this.#places[socketClass]
    const lost = places.size < this.#limit ? null : places.at(this.#random(places.size))
    lost?.leave()
    const place = places.add(holder)
    if (lost !== null) this.#evict(lost.item)
    return place
  }

  get size(): number {
    const { local, remote, browser } = this.#places
    return local.size + remote.size + browser.size
  }
}
