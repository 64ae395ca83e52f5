import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { publishOnce, readPrivateFile, type StateLocation } from '@holdfast/identity/state'
import { GatewayError } from './errors.ts'

/** Where the gateway token lies in a state directory. */
const TOKEN_PATH = 'gateway-token/token'

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
  await publishOnce(location, TOKEN_PATH, Buffer.from(createGatewayToken()))
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
  const bytes = await readPrivateFile(location, TOKEN_PATH)
  if (bytes === null) throw new GatewayError('GATEWAY_TOKEN_UNREADABLE', {})
  return Buffer.from(bytes)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}
