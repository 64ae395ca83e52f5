/** Peers that must not be able to crowd out each other. */
export type SocketClass = 'local' | 'remote' | 'browser'

/**
 * Who holds a place before authentication, for each class of peers. When a class is full, a newcomer takes the place of
 * a random holder: whoever floods the gate evicts mostly itself, while refusing the newest would shut everybody out.
 */
export class Budgets<Holder> {
  readonly #limit: number
  readonly #random: (below: number) => number
  readonly #holders: Readonly<Record<SocketClass, Holder[]>> = { local: [], remote: [], browser: [] }
  readonly #places = new Map<Holder, { readonly socketClass: SocketClass; index: number }>()

  /** @param random a whole number from 0 up to, not including, its argument */
  constructor(limit: number, random: (below: number) => number) {
    this.#limit = limit
    this.#random = random
  }

  /** Gives the holder a place; returns whoever lost theirs for it. */
  take(socketClass: SocketClass, holder: Holder): Holder | null {
    const holders = this.#holders[socketClass]
    const evicted = holders.length < this.#limit ? null : (holders[this.#random(holders.length)] ?? null)
    if (evicted !== null) this.release(evicted)
    this.#places.set(holder, { socketClass, index: holders.length })
    holders.push(holder)
    return evicted
  }

  /** Does nothing for whoever holds no place. */
  release(holder: Holder): void {
    const place = this.#places.get(holder)
    if (place === undefined) return
    this.#places.delete(holder)
    const holders = this.#holders[place.socketClass]
    const last = holders.pop()
    if (last === undefined || last === holder) return
    holders[place.index] = last
    const moved = this.#places.get(last)
    if (moved !== undefined) moved.index = place.index
  }

  get size(): number {
    return this.#places.size
  }
}
