import { hash, timingSafeEqual } from 'node:crypto'
import { gatewayTokenCommitment, gatewayTokenMacKey, verifyTranscriptMac } from '@holdfast/handshake'
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
  /** Does it make this MAC over this transcript? In constant time. */
  verifiesMac(transcript: Uint8Array, mac: string): boolean
  /** Names its generation in the store. */
  readonly commitment: string
}

/**
 * The gateway token as its source has it now. The store knows a generation before anybody is admitted by it. Of answers
 * that overtake each other the one that was asked for last counts: a slow one cannot bring an old token back.
 */
export class CurrentToken {
  readonly #source: GatewayTokenSource
  readonly #store: PairingStore
  #token: string | null = null
  #reading: Promise<TokenReading> | null = null
  #asks = 0
  /** The first ask whose answer still counts. */
  #firstValid = 1

  constructor(source: GatewayTokenSource, store: PairingStore) {
    if (typeof source === 'string') checkTokenStrength(source)
    this.#source = source
    this.#store = store
  }

  /**
   * @throws {@link GatewayError} `GATEWAY_TOKEN_WEAK`, `GATEWAY_TOKEN_UNREADABLE`; and the store's errors, in which case the
   * next reading tries again.
   */
  read(): Promise<TokenReading> {
    // What was given as text stays as it is.
    const known = typeof this.#source === 'string' ? this.#reading : null
    return known ?? this.#readAnew()
  }

  async #readAnew(): Promise<TokenReading> {
    const ask = ++this.#asks
    const token = await this.#ask()
    if (ask < this.#firstValid) return this.#reading ?? this.#readAnew()
    const reading = token === this.#token ? this.#reading : null
    if (reading === null) checkTokenStrength(token)
    this.#firstValid = ask
    if (reading !== null) return reading
    this.#token = token
    this.#reading = this.#record(token)
    return this.#reading
  }

  /** Is this the generation of the token that was taken last? */
  serves(generationId: string | null): boolean {
    return this.#token !== null && generationId === gatewayTokenCommitment(this.#token)
  }

  /**
   * Asks the source anew, whatever was asked before, and tells the store: for when that names another generation.
   *
   * @throws as {@link read} does
   */
  async restore(): Promise<void> {
    this.#reading = null
    this.#firstValid = this.#asks + 1
    await this.read()
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
    const macKey = gatewayTokenMacKey(token)
    return {
      matches: presented => timingSafeEqual(digestOf(presented), expected),
      verifiesMac: (transcript, mac) => verifyTranscriptMac(macKey, transcript, mac),
      commitment: gatewayTokenCommitment(token),
    }
  }
}

function digestOf(token: string): Buffer {
  return hash('sha256', token, 'buffer')
}
