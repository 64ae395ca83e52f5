import { type PublicKey, parsePublicKey } from '@holdfast/identity'

/**
 * The keys that were admitted lately, with what was computed of each, so that a device that comes back is not read anew: most
 * of what a gate sees is one device with many processes. What is remembered is determined by the text of the key; what the
 * device may do is asked each time. Bounded: of two generations the older one is dropped when the newer one is full.
 */
export class KnownKeys {
  readonly #generationSize: number
  #recent = new Map<string, PublicKey>()
  #former = new Map<string, PublicKey>()

  /** @param limit how many keys are kept at most, about */
  constructor(limit: number) {
    this.#generationSize = Math.ceil(limit / 2)
  }

  get size(): number {
    return this.#recent.size + this.#former.size
  }

  /** As `parsePublicKey` does. */
  read(text: string): PublicKey | null {
    return this.#recent.get(text) ?? this.#former.get(text) ?? parsePublicKey(text)
  }

  /** Of one that was admitted, so that whoever is not can drive out nobody. */
  remember(key: PublicKey): void {
    const text = key.toString()
    if (this.#recent.has(text)) return
    if (this.#recent.size >= this.#generationSize) {
      this.#former = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(text, key)
  }
}
