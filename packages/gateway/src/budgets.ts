import { Roster } from './internal/roster.ts'

/** Peers that must not be able to crowd out each other. */
export type SocketClass = 'local' | 'remote' | 'browser'

/**
 * Who holds a place before authentication, for each class of peers. When a class is full, a newcomer takes the place of
 * a random holder: whoever floods the gate evicts mostly itself, while refusing the newest would shut everybody out.
 */
export class Budgets<Holder extends object> {
  readonly #limit: number
  readonly #random: (below: number) => number
  readonly #holders: Readonly<Record<SocketClass, Roster<Holder>>> = {
    local: new Roster(),
    remote: new Roster(),
    browser: new Roster(),
  }

  /** @param random a whole number from 0 up to, not including, its argument */
  constructor(limit: number, random: (below: number) => number) {
    this.#limit = limit
    this.#random = random
  }

  /** Gives the holder a place; returns whoever lost theirs for it. */
  take(socketClass: SocketClass, holder: Holder): Holder | null {
    const holders = this.#holders[socketClass]
    const evicted = holders.size < this.#limit ? null : holders.at(this.#random(holders.size))
    if (evicted !== null) holders.delete(evicted)
    holders.add(holder)
    return evicted
  }

  /** Does nothing for whoever holds no place. */
  release(holder: Holder): void {
    const { local, remote, browser } = this.#holders
    for (const holders of [local, remote, browser]) holders.delete(holder)
  }

  get size(): number {
    const { local, remote, browser } = this.#holders
    return local.size + remote.size + browser.size
  }
}
