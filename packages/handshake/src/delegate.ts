import { randomBytes } from 'node:crypto'
import { type DeviceId, type DeviceIdentity, deviceIdOf, type PublicKey } from '@holdfast/identity'
import { bytesOf, MAX_DELEGATION_BYTES, MAX_DELEGATION_LINKS, MAX_DELEGATION_TTL_MS } from './delegation.ts'
import { HandshakeError } from './errors.ts'
import {
  CALL_PATTERN,
  type DelegationCaveats,
  formatLink,
  type LinkClaims,
  linkSigningInput,
  MAX_COUNT,
  MAX_NAMED_CALLS,
  readLink,
} from './internal/delegation-link.ts'
import { MAX_SCOPES, NAME_PATTERN } from './scopes.ts'

/** What a new link is to say. */
export interface DelegateOptions {
  /** Who gives: the device, or the holder of the last link of `chain`. */
  readonly issuer: DeviceIdentity
  /** What the issuer was given itself, the root's link first. @defaultValue none: the issuer is the device */
  readonly chain?: readonly string[]
  /** Who gets it: the key that the child signs with. */
  readonly holder: PublicKey
  /** At which gateway it counts. */
  readonly gatewayId: DeviceId
  readonly role: string
  readonly scopes: readonly string[]
  /** The gateway's clock, in ms since the epoch. */
  readonly nowMs: number
  /** In ms. It ends with the link before in any case. */
  readonly ttlMs: number
  /** How many more links may follow. @defaultValue 0: the holder delegates nothing */
  readonly depth?: number
  /** What holds it back beside its scopes. @defaultValue nothing */
  readonly caveats?: Partial<DelegationCaveats>
}

/**
 * A chain with one more link: the issuer gives the holder this much of what it has itself, for a while, at one gateway.
 * Compact JWS (RFC 7515 §3.1, EdDSA by RFC 8037), with a type of its own, signed by {@link DeviceIdentity.sign} alone.
 *
 * Whether the scopes are narrower than those of the link before only the gateway can tell, which has the table of roles.
 *
 * @throws {@link HandshakeError} `DELEGATION_INVALID`: a field is outside its alphabet or bounds, or the chain is not the
 * issuer's, or allows no further link. Nothing was signed.
 */
export function delegate(options: DelegateOptions): readonly string[] {
  const { issuer, chain = [], depth = 0, caveats = {} } = options
  const parent = lastLinkOf(chain, issuer)
  const latestMs = parent?.expiresAtMs ?? Number.MAX_SAFE_INTEGER
  const claims: LinkClaims = {
    issuer: issuer.id,
    gatewayId: options.gatewayId,
    notBeforeMs: options.nowMs,
    expiresAtMs: Math.min(options.nowMs + options.ttlMs, latestMs),
    delegationId: randomBytes(16).toString('base64url'),
    holder: options.holder,
    role: options.role,
    scopes: [...options.scopes].sort(),
    depth,
    caveats: {
      children: caveats.children ?? null,
      connections: caveats.connections ?? null,
      calls: caveats.calls === undefined || caveats.calls === null ? null : [...caveats.calls].sort(),
    },
  }
  const reason = unfitIn(claims, parent)
  if (reason !== null) throw new HandshakeError('DELEGATION_INVALID', { reason })
  const signingInput = linkSigningInput(claims)
  const link = formatLink(signingInput, issuer.sign(Buffer.from(signingInput)))
  const longer = [...chain, link]
  if (bytesOf(longer) > MAX_DELEGATION_BYTES) {
    throw new HandshakeError('DELEGATION_INVALID', { reason: `more than ${MAX_DELEGATION_BYTES} bytes` })
  }
  return longer
}

function lastLinkOf(chain: readonly string[], issuer: DeviceIdentity): LinkClaims | null {
  const last = chain.at(-1)
  if (last === undefined) return null
  const link = readLink(last)
  if (typeof link === 'string')
    throw new HandshakeError('DELEGATION_INVALID', { reason: `the chain is ${link}` })
  if (deviceIdOf(link.holder) === issuer.id) return link
  throw new HandshakeError('DELEGATION_INVALID', {
    reason: 'the chain ends with another key than the issuer',
  })
}

function unfitIn(claims: LinkClaims, parent: LinkClaims | null): string | null {
  const { scopes, depth, caveats, notBeforeMs, expiresAtMs } = claims
  const { children, connections, calls } = caveats
  if (![claims.role, ...scopes].every(each => NAME_PATTERN.test(each)))
    return 'role or scope outside its alphabet'
  if (scopes.length > MAX_SCOPES || new Set(scopes).size !== scopes.length)
    return 'too many scopes, or one twice'
  if (!Number.isSafeInteger(notBeforeMs) || !Number.isSafeInteger(expiresAtMs))
    return 'a time that is no whole ms'
  if (expiresAtMs <= notBeforeMs) return 'over before it begins'
  if (expiresAtMs - notBeforeMs > MAX_DELEGATION_TTL_MS)
    return `good for more than ${MAX_DELEGATION_TTL_MS} ms`
  if (!isCount(depth, 0, (parent?.depth ?? MAX_DELEGATION_LINKS) - 1))
    return 'no further link of that depth is allowed'
  if (children !== null && !isCount(children, 0, MAX_COUNT)) return 'children out of bounds'
  if (connections !== null && !isCount(connections, 1, MAX_COUNT)) return 'connections out of bounds'
  if (calls === null) return null
  const named = calls.length <= MAX_NAMED_CALLS && calls.every(call => CALL_PATTERN.test(call))
  return named && new Set(calls).size === calls.length
    ? null
    : 'calls outside their alphabet, too many, or one twice'
}

function isCount(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most
}
