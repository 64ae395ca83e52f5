import { createHash, randomBytes } from 'node:crypto'

const PREFIX = 'hfj_'
/** 128 bits, for the ten minutes that it lives at most. */
const SECRET_BYTES = 16
const CHECK_LENGTH = 6
const CODE = /^hfj_[A-Za-z0-9_-]{22}[A-Za-z0-9_-]{6}$/

/** A new join code: prefix, 128 random bits in base64url, checksum. */
export function createJoinCode(): string {
  const body = PREFIX + randomBytes(SECRET_BYTES).toString('base64url')
  return body + checkOf(body)
}

function checkOf(body: string): string {
  return createHash('sha256').update(body).digest('base64url').slice(0, CHECK_LENGTH)
}

/** What is stored of a code and looked up by: hex SHA-256 under a domain tag. `null`: it is none, or misspelt. */
export function hashJoinCode(code: string): string | null {
  if (!CODE.test(code) || checkOf(code.slice(0, -CHECK_LENGTH)) !== code.slice(-CHECK_LENGTH)) return null
  return createHash('sha256').update('\0holdfast join code\0').update(code).digest('hex')
}
