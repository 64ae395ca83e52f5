import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { identityFrom, type PublicKey, parsePublicKey } from '@holdfast/identity'

/** A key that one child is to have. */
export interface ChildKey {
  /** 32 bytes. Secret: zero them when they are handed down. */
  readonly seed: Buffer
  readonly publicKey: PublicKey
}

let ready: ChildKey | null = null

/** A key that nobody has had before: the one that is ready, or a new one. */
export function takeChildKey(): ChildKey {
  const key = ready ?? makeChildKey()
  ready = null
  return key
}

/**
 * Have a key ready for the next child, made while the one that was just started loads: it is the dearest part of handing
 * down. Until then it lies where the device's own key does, in the memory of this process alone.
 */
export function readyNextChildKey(): void {
  setImmediate(() => {
    ready ??= makeChildKey()
  }).unref()
}

// The runtime generates a key in a third of the time that it takes to read one out of a seed.
function makeChildKey(): ChildKey {
  const { d = '', x } = generatedKey() ?? {}
  const publicKey = parsePublicKey(x)
  if (publicKey !== null) return { seed: Buffer.from(d, 'base64url'), publicKey }
  const seed = randomBytes(32)
  return { seed, publicKey: identityFrom({ seed }).publicKey }
}

/** `null` where the runtime has no Ed25519 of its own. */
function generatedKey(): { d?: string; x?: string } | null {
  try {
    return generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null
    throw error
  }
}
