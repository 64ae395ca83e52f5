import { createHash, timingSafeEqual } from 'node:crypto'
import type { PairingStore } from '@holdfast/pairing-store'
import { GatewayError } from './errors.ts'

/** 22 characters of base64url are 132 bits. */
export const MIN_TOKEN_LENGTH = 22
const MIN_DIFFERENT_CHARACTERS = 8
/** Printable ASCII without blanks, and without the joint of the strings that OpenClaw clients sign. */
const TOKEN = /^[\x21-\x7b\x7d\x7e]{0,512}$/

/** Where the token comes from; asked anew for each `connect`, so that a rotation needs no restart. */
export type GatewayTokenSource = string | (() => string | Promise<string>)

/** @throws {@link GatewayError} `GATEWAY_TOKEN_WEAK` */
export function checkTokenStrength(token: string): void {
  const reason = weaknessOf(token)
  if (reason !== null) throw new GatewayError('GATEWAY_TOKEN_WEAK', { minLength: MIN_TOKEN_LENGTH, reason })
}

function weaknessOf(token: string): 'length' | 'alphabet' | 'variety' | null {
  if (typeof token !== 'string' || !TOKEN.test(token)) return 'alphabet'
  if (token.length < MIN_TOKEN_LENGTH) return 'length'
  return new Set(token).size < MIN_DIFFERENT_CHARACTERS ? 'variety' : null
}

/** A token as it was when it was read: it compares, and does not tell. */
export interface TokenReading {
  /** In constant time, whatever the lengths. */
  matches(presented: string): boolean
}

/** The gateway token as it is now. The store knows a generation before anybody is admitted by it. */
export class CurrentToken {
  readonly #source: GatewayTokenSource
  readonly #store: PairingStore
  #token: string | null = null
  #reading: Promise<TokenReading> | null = null

  constructor(source: GatewayTokenSource, store: PairingStore) {
    if (typeof source === 'string') checkTokenStrength(source)
    this.#source = source
    this.#store = store
  }

  /**
   * @throws {@link GatewayError} `GATEWAY_TOKEN_WEAK`, `GATEWAY_TOKEN_UNREADABLE`; and the store's errors, in which case the
   * next reading tries again.
   */
  async read(): Promise<TokenReading> {
    const token = await this.#ask()
    if (token !== this.#token || this.#reading === null) {
      checkTokenStrength(token)
      this.#token = token
      this.#reading = this.#record(token)
    }
    return this.#reading
  }

  async #ask(): Promise<string> {
    if (typeof this.#source === 'string') return this.#source
    try {
      return await this.#source()
    } catch (error) {
      throw new GatewayError('GATEWAY_TOKEN_UNREADABLE', {}, { cause: error })
    }
  }

  async #record(token: string): Promise<TokenReading> {
    try {
      await this.#store.putGatewayToken(token)
    } catch (error) {
      if (this.#token === token) this.#reading = null
      throw error
    }
    const expected = digestOf(token)
    return { matches: presented => timingSafeEqual(digestOf(presented), expected) }
  }
}

function digestOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
