import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { DEVICE_TOKEN_PREFIX } from '@holdfast/handshake'
import type { DeviceTokenTable } from './schema.ts'

/** 256 bits: nothing that can be guessed, so that a plain hash of it gives nothing away. */
const SECRET_BYTES = 32
/** 36 bits, which tell a token from a text that looks like one, in a log or a mutilated file. */
const CHECK_LENGTH = 6
const TOKEN = new RegExp(`^${DEVICE_TOKEN_PREFIX}[A-Za-z0-9_-]{43}[A-Za-z0-9_-]{${CHECK_LENGTH}}$`)

/** A new device token: prefix, 256 random bits in base64url, checksum. Whoever gets it is the only one who has it. */
export function createDeviceToken(): string {
  const body = DEVICE_TOKEN_PREFIX + randomBytes(SECRET_BYTES).toString('base64url')
  return body + checkOf(body)
}

function checkOf(body: string): string {
  return createHash('sha256').update(body).digest('base64url').slice(0, CHECK_LENGTH)
}

/** What is stored of a token: hex SHA-256 under a domain tag. */
export function hashDeviceToken(token: string): string {
  return createHash('sha256').update('\0holdfast device token\0').update(token).digest('hex')
}

/** Which of a role's tokens was shown. `previous`: the one before the current, for as long as siblings may still use it. */
export type TokenSlot = 'current' | 'pending' | 'previous'

/** Which live token of the row this text is, or `null`. Compared in constant time. */
export function slotOf(token: string, row: TokenHashes, nowMs: number): TokenSlot | null {
  if (!TOKEN.test(token) || checkOf(token.slice(0, -CHECK_LENGTH)) !== token.slice(-CHECK_LENGTH)) return null
  const shown = Buffer.from(hashDeviceToken(token), 'hex')
  const isIt = (hash: string | null) => {
    const stored = Buffer.from(hash ?? '', 'hex')
    return stored.length === shown.length && timingSafeEqual(stored, shown)
  }
  const matches = {
    current: isIt(row.current_hash),
    pending: isIt(row.pending_hash) && nowMs < (row.pending_until_ms ?? 0),
    previous: isIt(row.previous_hash) && nowMs < (row.previous_until_ms ?? 0),
  }
  if (matches.current) return 'current'
  if (matches.pending) return 'pending'
  return matches.previous ? 'previous' : null
}

/** The columns that tell a live token. */
export type TokenHashes = {
  readonly [Column in
    | 'current_hash'
    | 'pending_hash'
    | 'pending_until_ms'
    | 'previous_hash'
    | 'previous_until_ms']: DeviceTokenTable[Column] | null
}
