import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { GATEWAY_TOKEN, publishOnce, readGatewayToken, type StateLocation } from '@holdfast/identity/state'
import { GatewayError } from './errors.ts'

/** A new gateway token: 256 random bits, as 43 characters of base64url. */
export function createGatewayToken(): string {
  return randomBytes(32).toString('base64url')
}

/**
 * The gateway token of a state directory, made exactly once, whoever comes first.
 *
 * @throws {@link IdentityError} as the reading and publishing of private files do
 */
export async function openGatewayToken(location: StateLocation): Promise<string> {
  await publishOnce(location, GATEWAY_TOKEN, Buffer.from(createGatewayToken()))
  return readToken(location)
}

/**
 * A source that reads the file again whenever it is another one, so that a rotation needs no restart. One system call
 * where nothing has changed: a token is replaced by a rename, so its file then has another inode or time.
 */
export function gatewayTokenFile(location: StateLocation): () => Promise<string> {
  let seen: { readonly stamp: string; readonly token: string } | null = null
  return async () => {
    const stamp = stampOf(location.gatewayToken)
    if (seen === null || seen.stamp !== stamp) seen = { stamp, token: await readToken(location) }
    return seen.token
  }
}

function stampOf(path: string): string {
  const { ino, ctimeNs, mtimeNs, size } = statSync(path, { bigint: true })
  return `${ino} ${ctimeNs} ${mtimeNs} ${size}`
}

async function readToken(location: StateLocation): Promise<string> {
  const token = await readGatewayToken(location)
  if (token === null) throw new GatewayError('GATEWAY_TOKEN_UNREADABLE', {})
  return token
}
