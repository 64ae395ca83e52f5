import { createPublicKey, randomBytes } from 'node:crypto'
import {
  BUILT_IN_ROLES,
  defineRoles,
  expandScopes,
  parseRole,
  parseScopes,
  type Scope,
} from '@holdfast/handshake'
import { type DeviceIdentity, formatPublicKey } from '@holdfast/identity'
import { isOpenClawError, type OpenClawError } from './errors.ts'
import { asV2, type ProofText, readProofText } from './internal/proof-text.ts'
import { readSurroundings } from './internal/surroundings.ts'
import { type StoredToken, type TokenKey, tokenFiles, tokenMemory } from './internal/token-files.ts'

/** Who connects, and where. */
export interface HostDepsOptions {
  readonly identity: DeviceIdentity
  /** The gateway's address, as the client is given it. Device tokens are kept apart by it. */
  readonly url: string
  /**
   * Which signed string the gateway knows: `v2` for OpenClaw 2026.2, whose gateways refuse the newer one.
   * {@link enrollWithOpenClaw} tells. @defaultValue `'v3'`
   */
  readonly proof?: 'v2' | 'v3' | undefined
  /**
   * The state directory below which device tokens are kept. @defaultValue the identity's; for one that lives in memory
   * they are kept in memory too
   */
  readonly directory?: string | undefined
  /**
   * Told when a device token could not be stored or removed, on a read-only mount for one. The client goes on: the gateway
   * token, where it has one, lets it in again. @defaultValue nothing is told
   */
  readonly onTokenProblem?: ((error: OpenClawError) => void) | undefined
}

/** Whose token a callback is about. */
export interface TokenOwner {
  readonly deviceId: string
  readonly role: string
}

/** The host half that `GatewayClient` of `@openclaw/gateway-client` asks for, as its `hostDeps`. All of it is synchronous. */
export interface OpenClawHostDeps {
  /** `privateKeyPem` is a handle for this object's `signDevicePayload`, and no key. */
  loadOrCreateDeviceIdentity(): {
    readonly deviceId: string
    readonly privateKeyPem: string
    readonly publicKeyPem: string
  }
  /**
   * The signature in unpadded base64url. Signs only proofs of OpenClaw's, and only those of this device.
   *
   * @throws TypeError for another handle, or another text.
   */
  signDevicePayload(privateKeyPem: string, payload: string): string
  /** @throws TypeError where the PEM is no Ed25519 public key. */
  publicKeyRawBase64UrlFromPem(publicKeyPem: string): string
  loadDeviceAuthToken(owner: TokenOwner): { readonly token: string; readonly scopes: string[] } | null
  storeDeviceAuthToken(entry: TokenOwner & { readonly token: string; readonly scopes: string[] }): void
  /**
   * Forget this gateway's token for that device and role, and no other. A token that another process has stored meanwhile
   * stays; so does one that was refused while more was asked than it is good for, since 2026.4 calls that a mismatch too.
   */
  clearDeviceAuthToken(owner: TokenOwner): void
}

const ROLES = defineRoles(BUILT_IN_ROLES)

/**
 * What OpenClaw's official client needs of its host, so that every process of this install connects with it as the same
 * device: identity and signing without a key that could leak, and device tokens kept by gateway, device and role, each in a
 * file of this user's alone. Any number of processes may use the same ones.
 *
 * Give the client `minProtocol: 3` as well, for gateways before 2026.9, and a constant `platform`.
 */
export function createHostDeps(options: HostDepsOptions): OpenClawHostDeps {
  const { identity, proof = 'v3' } = options
  const directory = options.directory ?? identity.location?.directory
  const tokens = directory === undefined ? tokenMemory() : tokenFiles(directory, readSurroundings())
  const gateway = canonicalUrl(options.url)
  const handle = `holdfast:${identity.id}:${randomBytes(16).toString('hex')}`
  const publicKeyPem = pemOf(formatPublicKey(identity.publicKey))
  /** What this client showed last in each role: the gateway's answer is about that. */
  const shown = new Map<string, ProofText>()
  const loaded = new Map<string, string>()
  const attempt = (change: () => void): void => {
    try {
      change()
    } catch (error) {
      if (!isOpenClawError(error)) throw error
      options.onTokenProblem?.(error)
    }
  }
  const keyFor = ({ deviceId, role }: TokenOwner): TokenKey => ({ gateway, deviceId, role })

  return {
    loadOrCreateDeviceIdentity: () => ({ deviceId: identity.id, privateKeyPem: handle, publicKeyPem }),

    signDevicePayload(privateKeyPem, payload) {
      const claims = readProofText(payload)
      if (privateKeyPem !== handle) throw new TypeError('not the handle of this identity')
      if (claims === null || claims.deviceId !== identity.id)
        throw new TypeError('not a proof of this device')
      shown.set(claims.role, claims)
      const text = proof === 'v2' ? asV2(payload) : payload
      return Buffer.from(identity.sign(new TextEncoder().encode(text))).toString('base64url')
    },

    publicKeyRawBase64UrlFromPem: pem =>
      pem === publicKeyPem ? formatPublicKey(identity.publicKey) : rawKeyOf(pem),

    loadDeviceAuthToken(owner) {
      const entry = owner.deviceId === identity.id ? tokens.read(keyFor(owner)) : null
      if (entry === null) return null
      loaded.set(owner.role, entry.token)
      return { token: entry.token, scopes: [...entry.scopes] }
    },

    storeDeviceAuthToken({ token, scopes, ...owner }) {
      if (owner.deviceId !== identity.id) return
      const before = tokens.read(keyFor(owner))
      // The client repeats what it knew of a token that it knew. A gateway that does not change its token when more is
      // asked has found that it is good for that too.
      const known =
        before?.token === token ? [...before.scopes, ...(shown.get(owner.role)?.scopes ?? [])] : []
      const entry = { token, scopes: [...new Set([...known, ...scopes])] }
      if (before === null || !isSame(before, entry)) attempt(() => tokens.write(keyFor(owner), entry))
      loaded.set(owner.role, token)
    },

    clearDeviceAuthToken(owner) {
      const entry = owner.deviceId === identity.id ? tokens.read(keyFor(owner)) : null
      if (entry === null || entry.token !== loaded.get(owner.role)) return
      const wish = shown.get(owner.role)
      if (wish === undefined || covers(entry, wish)) attempt(() => tokens.remove(keyFor(owner)))
    },
  }
}

/** Was no more asked than the token is good for? What the table does not know counts by its name alone. */
function covers({ scopes }: StoredToken, wish: ProofText): boolean {
  const role = parseRole(ROLES, wish.role)
  const known = (name: string): readonly Scope[] => (role && parseScopes(ROLES, role, [name])) ?? []
  const held: ReadonlySet<string> =
    role === null ? new Set() : expandScopes(ROLES, role, scopes.flatMap(known))
  return wish.scopes.every(scope => scopes.includes(scope) || held.has(scope))
}

function isSame(left: StoredToken, right: StoredToken): boolean {
  return (
    left.token === right.token &&
    left.scopes.length === right.scopes.length &&
    left.scopes.every((scope, index) => right.scopes[index] === scope)
  )
}

/** One spelling for one address. @throws TypeError where it is none. */
function canonicalUrl(text: string): string {
  const url = new URL(text)
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') throw new TypeError('url must be ws:// or wss://')
  return `${url.protocol}//${url.host}${url.pathname}`
}

function pemOf(publicKey: string): string {
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey }
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' }).toString()
}

function rawKeyOf(pem: string): string {
  const { crv, x } = createPublicKey(pem).export({ format: 'jwk' })
  if (crv !== 'Ed25519' || x === undefined) throw new TypeError('not an Ed25519 public key')
  return x
}
