import {
  type DeviceId,
  type DeviceIdentity,
  formatPublicKey,
  identityFrom,
  parseDeviceId,
} from '@holdfast/identity'

/** What a parent writes for a child, beside the key. */
export interface BundleFacts {
  readonly publicKey: string
  readonly chain: readonly string[]
  readonly url: string
  readonly gatewayId: DeviceId
  readonly role: string
  readonly scopes: readonly string[]
}

/** What a child reads. */
export interface Bundle extends Omit<BundleFacts, 'publicKey'> {
  /** The child's own key, in memory. */
  readonly identity: DeviceIdentity
}

/** What comes over the second channel. */
export interface Renewal {
  readonly chain: readonly string[]
  readonly url: string
}

/** The most bytes of a bundle, or of one line of the second channel. */
export const MAX_BUNDLE_BYTES = 65_536

/** One line of JSON. The seed is put into the bytes only, so that no text with it outlives them. */
export function formatBundle(seed: Uint8Array, facts: BundleFacts): Buffer {
  const head = Buffer.from('{"format":"holdfast-delegation","version":1,"secretKey":"')
  const secret = base64urlBytes(seed)
  const tail = Buffer.from(`",${JSON.stringify(facts).slice(1)}\n`)
  const bundle = Buffer.concat([head, secret, tail])
  secret.fill(0)
  return bundle
}

export function formatRenewal(renewal: Renewal): string {
  return `${JSON.stringify({ format: 'holdfast-renewal', version: 1, ...renewal })}\n`
}

/** What a child was given, or `null` where it is not of this form. The bytes are zeroed. */
export function parseBundle(bytes: Buffer): Bundle | null {
  try {
    const value = parseObject(bytes.toString('utf8'))
    if (value?.['format'] !== 'holdfast-delegation' || value['version'] !== 1) return null
    const { secretKey, publicKey, chain, url, gatewayId, role, scopes } = value
    const id = parseDeviceId(gatewayId)
    if (id === null || typeof secretKey !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(secretKey)) return null
    if (!isTextList(chain) || !isTextList(scopes) || typeof role !== 'string' || !isSocketUrl(url))
      return null
    const seed = Buffer.from(secretKey, 'base64url')
    const identity = identityFrom({ seed })
    seed.fill(0)
    if (formatPublicKey(identity.publicKey) !== publicKey) return null
    return { identity, chain, url, gatewayId: id, role, scopes }
  } finally {
    bytes.fill(0)
  }
}

/** One line of the second channel, or `null` where it is none. */
export function parseRenewal(line: string): Renewal | null {
  const value = parseObject(line)
  if (value?.['format'] !== 'holdfast-renewal' || value['version'] !== 1) return null
  const { chain, url } = value
  return isTextList(chain) && isSocketUrl(url) ? { chain, url } : null
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= 64 && value.every(each => typeof each === 'string')
}

function isSocketUrl(value: unknown): value is string {
  return typeof value === 'string' && URL.canParse(value) && /^wss?:$/.test(new URL(value).protocol)
}

const ALPHABET = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')

/** Unpadded base64url as bytes, which can be zeroed; a string cannot. */
function base64urlBytes(bytes: Uint8Array): Buffer {
  const text = Buffer.alloc(Math.ceil((bytes.length * 4) / 3))
  let bits = 0
  let held = 0
  let at = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    for (bits += 8; bits >= 6; bits -= 6) text[at++] = ALPHABET[(held >> (bits - 6)) & 63] ?? 0
    held &= (1 << bits) - 1
  }
  if (bits > 0) text[at] = ALPHABET[(held << (6 - bits)) & 63] ?? 0
  return text
}
