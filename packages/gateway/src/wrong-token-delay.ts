const STEPS_MS = [0, 250, 500, 1_000, 2_000, 4_000]
const MOST_SOURCES = 1_024
const MOST_GUESSES = 64
const FORGET_AFTER_MS = 60_000
/**
 * How often one wrong credential is taken for the same again. Where only a proof of it is shown, one device may try many
 * under what looks like one.
 */
const MOST_REPEATS = 32

interface Guesses {
  /** Digest of a wrong credential, the delay of its answer, and how often that was given. */
  readonly delays: Map<string, { readonly delayMs: number; given: number }>
  level: number
  lastMs: number
}

/**
 * How long the answer to a wrong credential waits: longer with each *different* one that a source shows, up to a bound.
 * The same wrong one again is not a guess (children that share an old token are no attack) and waits no longer than
 * before, for a while. A right credential is never looked up here, so nothing keeps it out.
 */
export class WrongTokenDelays {
  readonly #capMs: number
  readonly #sources = new Map<string, Guesses>()

  constructor(capMs: number) {
    this.#capMs = capMs
  }

  /** @param source a canonical address; the digest stands for the credential */
  delayFor(source: string, digest: string, nowMs: number): number {
    const guesses = this.#guessesOf(source, nowMs)
    guesses.lastMs = nowMs
    const known = guesses.delays.get(digest)
    if (known !== undefined && known.given < MOST_REPEATS) {
      known.given += 1
      return known.delayMs
    }
    const delayMs = Math.min(STEPS_MS[guesses.level] ?? this.#capMs, this.#capMs)
    guesses.level += 1
    guesses.delays.set(digest, { delayMs, given: 1 })
    dropOldest(guesses.delays, MOST_GUESSES)
    return delayMs
  }

  #guessesOf(source: string, nowMs: number): Guesses {
    const found = this.#sources.get(source)
    this.#sources.delete(source)
    const fresh = found === undefined || nowMs - found.lastMs > FORGET_AFTER_MS
    const guesses = fresh ? { delays: new Map(), level: 0, lastMs: nowMs } : found
    this.#sources.set(source, guesses)
    dropOldest(this.#sources, MOST_SOURCES)
    return guesses
  }
}

function dropOldest(map: Map<string, unknown>, most: number): void {
  if (map.size <= most) return
  for (const key of map.keys()) {
    map.delete(key)
    return
  }
}
