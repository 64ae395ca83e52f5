import {
  type DeviceId,
  formatPublicKey,
  type PublicKey,
  parseDeviceId,
  parsePublicKey,
} from '@holdfast/identity'
import { MAX_SCOPES, NAME_PATTERN } from '../scopes.ts'
import { integer, isProblem, list, nested, optional, readObject, shapeOf, text } from './fields.ts'

/** The most calls that a delegation may name. */
export const MAX_NAMED_CALLS = 64
/** The most children, or connections at a time, that a delegation may be held to. */
export const MAX_COUNT = 10_000
/** The alphabet of the name of a call. */
export const CALL_PATTERN = /^[A-Za-z0-9._:/-]{1,64}$/
/** 16 random bytes in base64url. */
export const DELEGATION_ID_PATTERN = /^[A-Za-z0-9_-]{21}[AQgw]$/

/** What holds a delegation back beside its scopes. `null`: this does not. */
export interface DelegationCaveats {
  /** So many children of its own, at a time. */
  readonly children: number | null
  /** So many connections at a time, those of its descendants among them. */
  readonly connections: number | null
  /** These calls alone, by name. */
  readonly calls: readonly string[] | null
}

/** What one link of a chain says. */
export interface LinkClaims {
  /** `iss`: whose key signed it. */
  readonly issuer: DeviceId
  /** `aud`: at which gateway it counts. */
  readonly gatewayId: DeviceId
  /** `nbf` and `exp`, by the gateway's clock, in ms since the epoch. */
  readonly notBeforeMs: number
  readonly expiresAtMs: number
  /** `jti`. */
  readonly delegationId: string
  /** `cnf` (RFC 7800 §3.2): who may use it. */
  readonly holder: PublicKey
  readonly role: string
  /** Sorted, each once. */
  readonly scopes: readonly string[]
  /** How many more links may follow. */
  readonly depth: number
  readonly caveats: DelegationCaveats
}

/** A link that could be read; whether its signature is one is not known yet. */
export interface ReadLink extends LinkClaims {
  readonly signingInput: Uint8Array
  readonly signature: Uint8Array
}

/** Why a text is no link. */
export type LinkFlaw = 'malformed' | 'algorithm-foreign' | 'type-foreign' | 'key-in-header' | 'holder-invalid'

/**
 * The protected header of a link, byte for byte (RFC 7515 §7.1; RFC 8725 §3.11 for the type). With one header there is no
 * algorithm to choose and no key to name. It begins with `eyJ`, and the string that is signed holds neither 0x00 nor `|`:
 * so it is none of the other strings that a device signs, which begin with 0x00, `v2|` or `v3|`.
 */
const HEADER = encode('{"alg":"EdDSA","typ":"holdfast-delegation+jwt"}')

/** Members of a header that would say where the key is (RFC 7515 §4.1.2 to §4.1.8). */
const KEY_MEMBERS = ['jku', 'jwk', 'kid', 'x5u', 'x5c', 'x5t', 'x5t#S256'] as const

/** The bytes to be signed for these claims: header and payload, encoded and joined (RFC 7515 §5.1). */
export function linkSigningInput(claims: LinkClaims): string {
  return `${HEADER}.${encode(payloadOf(claims))}`
}

/** A link in its one spelling. */
export function formatLink(signingInput: string, signature: Uint8Array): string {
  return `${signingInput}.${Buffer.from(signature).toString('base64url')}`
}

/**
 * What a link says, or why it is none. Only the one spelling is read: this header, these claims in this order, without
 * blanks, in base64url without padding. Nothing is verified yet.
 */
export function readLink(link: string): ReadLink | LinkFlaw {
  const [header = '', payload = '', signatureText = '', ...rest] = link.split('.')
  if (rest.length > 0) return 'malformed'
  if (header !== HEADER) return flawOfHeader(header)
  const signature = decode(signatureText)
  const json = decode(payload)?.toString('latin1')
  if (signature?.length !== 64 || json === undefined) return 'malformed'
  const claims = readClaims(parseJson(json))
  if (typeof claims === 'string') return claims
  if (payloadOf(claims) !== json) return 'malformed'
  return { ...claims, signature, signingInput: Buffer.from(`${header}.${payload}`, 'latin1') }
}

/** Claims in the one order and spelling. Every alphabet is ASCII, so that any JSON writer gets the same bytes. */
function payloadOf(claims: LinkClaims): string {
  const { children, connections, calls } = claims.caveats
  return JSON.stringify({
    iss: claims.issuer,
    aud: claims.gatewayId,
    nbf: claims.notBeforeMs / 1_000,
    exp: claims.expiresAtMs / 1_000,
    jti: claims.delegationId,
    cnf: { jwk: { kty: 'OKP', crv: 'Ed25519', x: formatPublicKey(claims.holder) } },
    role: claims.role,
    scope: claims.scopes.join(' '),
    depth: claims.depth,
    ...(children !== null && { children }),
    ...(connections !== null && { connections }),
    ...(calls !== null && { calls }),
  })
}

const deviceId = (value: unknown): DeviceId | undefined => parseDeviceId(value) ?? undefined
const anyText = text(/^[\s\S]{0,128}$/)
const name = text(NAME_PATTERN)

/** NumericDate (RFC 7519 §2), with ms as decimals. */
const numericDate = (value: unknown): number | undefined =>
  typeof value === 'number' ? integer(0)(Math.round(value * 1_000)) : undefined

const scopeList = (value: unknown): readonly string[] | undefined => {
  if (typeof value !== 'string') return undefined
  const scopes = value === '' ? [] : value.split(' ')
  return sorted(list(name, MAX_SCOPES)(scopes))
}

/** Sorted and each once, so that a set has one spelling. */
function sorted(items: readonly string[] | undefined): readonly string[] | undefined {
  return items?.every((item, at) => at === 0 || (items[at - 1] ?? '') < item) ? items : undefined
}

const payloadShape = shapeOf({
  iss: deviceId,
  aud: deviceId,
  nbf: numericDate,
  exp: numericDate,
  jti: text(DELEGATION_ID_PATTERN),
  cnf: nested,
  role: name,
  scope: scopeList,
  depth: integer(0, 100),
  children: optional(integer(0, MAX_COUNT), null),
  connections: optional(integer(1, MAX_COUNT), null),
  calls: optional(value => sorted(list(text(CALL_PATTERN), MAX_NAMED_CALLS)(value)), null),
})

const confirmationShape = shapeOf({ jwk: nested })
const jwkShape = shapeOf({ kty: text(/^OKP$/), crv: text(/^Ed25519$/), x: anyText })

function readClaims(value: unknown): LinkClaims | LinkFlaw {
  const payload = readObject(value, 'payload', payloadShape)
  if (isProblem(payload)) return 'malformed'
  const cnf = readObject(payload.cnf, 'cnf', confirmationShape)
  if (isProblem(cnf)) return 'malformed'
  const jwk = readObject(cnf.jwk, 'jwk', jwkShape)
  const holder = isProblem(jwk) ? null : parsePublicKey(jwk.x)
  if (holder === null) return 'holder-invalid'
  const { children, connections, calls } = payload
  return {
    issuer: payload.iss,
    gatewayId: payload.aud,
    notBeforeMs: payload.nbf,
    expiresAtMs: payload.exp,
    delegationId: payload.jti,
    holder,
    role: payload.role,
    scopes: payload.scope,
    depth: payload.depth,
    caveats: { children, connections, calls },
  }
}

/** Another header is refused whatever it says; this finds out what to tell. */
function flawOfHeader(header: string): LinkFlaw {
  const json = decode(header)?.toString('utf8')
  const value = json === undefined ? undefined : parseJson(json)
  if (typeof value !== 'object' || value === null) return 'malformed'
  if (KEY_MEMBERS.some(member => Object.hasOwn(value, member))) return 'key-in-header'
  const { alg, typ } = value as Record<string, unknown>
  if (alg !== 'EdDSA') return 'algorithm-foreign'
  return typ === 'holdfast-delegation+jwt' ? 'malformed' : 'type-foreign'
}

function encode(json: string): string {
  return Buffer.from(json).toString('base64url')
}

/** The bytes of unpadded base64url in its one spelling, or `null`. */
function decode(base64url: string): Buffer | null {
  const bytes = Buffer.from(base64url, 'base64url')
  return bytes.toString('base64url') === base64url ? bytes : null
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
