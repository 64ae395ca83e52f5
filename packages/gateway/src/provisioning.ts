import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { type DeviceId, importIdentity, openIdentity, parseDeviceId } from '@holdfast/identity'
import {
  GATEWAY_TOKEN,
  publishOnce,
  readGatewayToken,
  readPrivateFile,
  replacePrivateFile,
  type StateLocation,
} from '@holdfast/identity/state'
import { GatewayError } from './errors.ts'
import { openGatewayToken } from './gateway-token-file.ts'

/** What makes another machine the same gateway: its private key and the gateway token. All of it is secret. */
interface Bundle {
  readonly format: 'holdfast-gateway'
  readonly version: 1
  readonly gatewayId: string
  readonly secretKey: string
  readonly gatewayToken: string
}

const KEY_PATH = 'gateway/key.json'

/** What was taken out of a bundle. */
export interface ProvisionedGateway {
  readonly gatewayId: DeviceId
  /** `replaced`: this gateway had an older one. */
  readonly token: 'new' | 'known' | 'replaced'
}

/**
 * Write what makes another machine the same gateway to a new file (0600), making key and token where there are none yet.
 * Whoever has the file is this gateway to every client.
 *
 * @throws {@link GatewayError} `PROVISION_NOT_WRITTEN`, where there is a file already, for one
 */
export async function exportGateway(location: StateLocation, path: string): Promise<DeviceId> {
  const { directory } = location
  const identity = await openIdentity({ directory, name: 'gateway' })
  const gatewayToken = await openGatewayToken(location)
  const key = await readPrivateFile(location, KEY_PATH)
  const { secretKey } = JSON.parse(Buffer.from(key ?? '{}').toString('utf8')) as Pick<Bundle, 'secretKey'>
  const bundle: Bundle = {
    format: 'holdfast-gateway',
    version: 1,
    gatewayId: identity.id,
    secretKey,
    gatewayToken,
  }
  writeNew(path, `${JSON.stringify(bundle, null, 2)}\n`)
  return identity.id
}

/**
 * Make this state directory the gateway of a bundle: its key, which is never put over another, and its token, which
 * takes the place of an older one.
 *
 * @throws {@link GatewayError} `PROVISION_DAMAGED`
 * @throws {@link IdentityError} `IDENTITY_EXISTS`: another gateway lives here
 */
export async function importGateway(location: StateLocation, bytes: Uint8Array): Promise<ProvisionedGateway> {
  const { gatewayId, secretKey, gatewayToken } = parseBundle(bytes)
  const source = { seed: secretKey }
  const identity = await importIdentity(source, { directory: location.directory, name: 'gateway' })
  if (identity.id !== gatewayId) throw new GatewayError('PROVISION_DAMAGED', {})
  const token = Buffer.from(gatewayToken)
  if (await publishOnce(location, GATEWAY_TOKEN, token)) return { gatewayId, token: 'new' }
  if ((await readGatewayToken(location)) === gatewayToken) return { gatewayId, token: 'known' }
  await replacePrivateFile(location, GATEWAY_TOKEN, token)
  return { gatewayId, token: 'replaced' }
}

function parseBundle(bytes: Uint8Array): Bundle & { readonly gatewayId: DeviceId } {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    // The parser's words quote the text, which may be a secret.
    throw new GatewayError('PROVISION_DAMAGED', {})
  }
  const { format, version, gatewayId, secretKey, gatewayToken } = (value ?? {}) as Partial<Bundle>
  const id = typeof gatewayId === 'string' ? parseDeviceId(gatewayId) : null
  const known = format === 'holdfast-gateway' && version === 1 && id !== null
  const secrets = isSecret(secretKey) && isSecret(gatewayToken)
  if (!known || !secrets) throw new GatewayError('PROVISION_DAMAGED', {})
  return { format, version, gatewayId: id, secretKey, gatewayToken }
}

function isSecret(text: unknown): text is string {
  return typeof text === 'string' && /^[A-Za-z0-9_-]{22,128}$/.test(text)
}

function writeNew(path: string, text: string): void {
  try {
    const file = openSync(path, 'wx', 0o600)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  } catch (cause) {
    const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new GatewayError('PROVISION_NOT_WRITTEN', { path, errno }, { cause })
  }
}
