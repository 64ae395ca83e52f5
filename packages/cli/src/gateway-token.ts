import { randomBytes } from 'node:crypto'

/** How long a command that changes the gateway token waits for the install's lock: longer than a store waits for another writer. */
export const TOKEN_LOCK_TIMEOUT_MS = 15_000

/** A secret that nobody had before: 256 random bits, as base64url. */
export function newGatewayToken(): string {
  return randomBytes(32).toString('base64url')
}
