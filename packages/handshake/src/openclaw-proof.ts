import {
  type DeviceIdentity,
  deviceIdOf,
  formatPublicKey,
  parsePublicKey,
  verifySignature,
} from '@holdfast/identity'
import { HandshakeError } from './errors.ts'
import { markVerified } from './internal/verified.ts'
import type { AuthClaim, ClientClaim, ConnectParams, DeviceClaim } from './messages.ts'
import type { ProofFamily, ProofVerdict, VerifiedProof } from './proof.ts'
import { MAX_SCOPES, NAME_PATTERN, parseWish, type RoleTable } from './scopes.ts'

/** How far a peer's clock may be from the gateway's: ±120 s, as measured on OpenClaw 2026.4.8 and 2026.9.6. */
export const SIGNED_AT_LIMIT_MS = 120_000

/** The fields of the signed string, as they travel in the frame. */
export interface OpenClawProofFields {
  readonly deviceId: string
  readonly client: Pick<ClientClaim, 'id' | 'mode' | 'platform' | 'deviceFamily'>
  readonly role: string
  readonly scopes: readonly string[]
  readonly signedAtMs: number
  /** The credential as sent: token, else device token, else bootstrap token, else empty. */
  readonly credential: string
  readonly nonce: string
}

/** The bytes that an OpenClaw device signs: UTF-8, fields joined by `|`; `v3` adds platform and device family. */
export function openClawProofBytes(version: 'v2' | 'v3', fields: OpenClawProofFields): Uint8Array {
  const { client } = fields
  const parts = [
    version,
    fields.deviceId,
    client.id,
    client.mode,
    fields.role,
    fields.scopes.join(','),
    String(fields.signedAtMs),
    fields.credential,
    fields.nonce,
  ]
  if (version === 'v3') parts.push(foldMetadata(client.platform), foldMetadata(client.deviceFamily ?? ''))
  return new TextEncoder().encode(parts.join('|'))
}

/** Trimmed, and lower case in ASCII only: "ÄX" stays "Äx" (measured on the peer). */
function foldMetadata(value: string): string {
  return value.trim().replace(/[A-Z]/g, letter => letter.toLowerCase())
}

/** The credential that is part of the signed string. */
export function signedCredential(auth: AuthClaim): string {
  return auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? ''
}

export interface SignOptions {
  readonly identity: DeviceIdentity
  readonly challenge: { readonly nonce: string; readonly ts: number }
  readonly client: ClientClaim
  readonly role: string
  readonly scopes: readonly string[]
  readonly auth: AuthClaim
  /** `v2` only for gateways of OpenClaw 2026.2. @defaultValue `'v3'` */
  readonly version?: 'v2' | 'v3'
}

/**
 * The device half of a `connect`: this identity wishes this, on the socket of this challenge.
 * Signed at the *gateway's* time, so that a wrong clock here does no harm.
 *
 * @throws {@link HandshakeError} `WISH_INVALID`: a role, scope or client field outside its alphabet, where the joined
 * string would be ambiguous. Nothing was signed.
 */
export function signOpenClawProof(options: SignOptions): DeviceClaim {
  const { identity, challenge, client, role, scopes } = options
  const names = [client.id, client.mode, role, ...scopes]
  const unfit = names.find(name => !NAME_PATTERN.test(name))
  if (unfit !== undefined)
    throw new HandshakeError('WISH_INVALID', { reason: `name ${JSON.stringify(unfit)}` })
  if (scopes.length > MAX_SCOPES)
    throw new HandshakeError('WISH_INVALID', { reason: `more than ${MAX_SCOPES} scopes` })
  if (`${client.platform}${client.deviceFamily ?? ''}`.includes('|')) {
    throw new HandshakeError('WISH_INVALID', { reason: 'platform or device family holds a |' })
  }
  const bytes = openClawProofBytes(options.version ?? 'v3', {
    deviceId: identity.id,
    client,
    role,
    scopes,
    signedAtMs: challenge.ts,
    credential: signedCredential(options.auth),
    nonce: challenge.nonce,
  })
  return {
    id: identity.id,
    publicKey: formatPublicKey(identity.publicKey),
    signature: Buffer.from(identity.sign(bytes)).toString('base64url'),
    signedAtMs: challenge.ts,
    nonce: challenge.nonce,
  }
}

export interface VerifyContext {
  /** The gateway's table: what it does not know is refused by rule 2, before any proof is looked at. */
  readonly roles: RoleTable
  /** The nonce of this socket's challenge, or `null` where it was spent. */
  readonly nonce: string | null
  readonly nowMs: number
}

/**
 * A verdict on the proof in a `connect`; never throws on hostile input.
 * `verified` claims: the key is canonical and of full order, the id is its hash, the nonce is this socket's and unspent,
 * the time is within ±120 s, and the signature is over exactly the fields of the frame.
 */
export function verifyOpenClawProof(params: ConnectParams, context: VerifyContext): ProofVerdict {
  const { device } = params
  const wish = parseWish(context.roles, params.role, params.scopes)
  if (wish === null) throw new TypeError('a wish that the table of roles does not know has no proof')
  if (device === null) return { verdict: 'absent' }
  const publicKey = parsePublicKey(device.publicKey)
  if (publicKey === null) return { verdict: 'public-key-invalid' }
  const deviceId = deviceIdOf(publicKey)
  if (device.id !== deviceId) return { verdict: 'device-id-mismatch' }
  if (context.nonce === null || device.nonce !== context.nonce) return { verdict: 'nonce-mismatch' }
  const deltaMs = device.signedAtMs - context.nowMs
  if (Math.abs(deltaMs) > SIGNED_AT_LIMIT_MS) {
    return { verdict: 'signature-expired', deltaMs, limitMs: SIGNED_AT_LIMIT_MS }
  }
  const signature = parseSignature(device.signature)
  const fields: OpenClawProofFields = {
    deviceId,
    client: params.client,
    role: params.role,
    scopes: params.scopes,
    signedAtMs: device.signedAtMs,
    credential: signedCredential(params.auth),
    nonce: context.nonce,
  }
  const family = signature && provenFamily(fields, message => verifySignature(publicKey, message, signature))
  if (!family) return { verdict: 'signature-invalid' }
  const { id, mode, platform, deviceFamily } = params.client
  const signed = family === 'openclaw-v3'
  const client = { id, mode, platform: signed ? platform : null, deviceFamily: signed ? deviceFamily : null }
  const proof = { family, deviceId, publicKey, wish, client } as VerifiedProof
  return { verdict: 'verified', proof: markVerified(proof) }
}

function provenFamily(
  fields: OpenClawProofFields,
  verifies: (message: Uint8Array) => boolean,
): ProofFamily | null {
  if (verifies(openClawProofBytes('v3', fields))) return 'openclaw-v3'
  return verifies(openClawProofBytes('v2', fields)) ? 'openclaw-v2' : null
}

/** 64 bytes in base64url, padded or not, in their one spelling; else `null`. */
function parseSignature(text: string): Uint8Array | null {
  const bare = text.endsWith('==') ? text.slice(0, -2) : text
  const bytes = Buffer.from(bare, 'base64url')
  return bytes.length === 64 && bytes.toString('base64url') === bare ? bytes : null
}
