import {
  type DeviceIdentity,
  deviceIdOf,
  formatPublicKey,
  type PublicKey,
  parsePublicKey,
  verifySignature,
} from '@holdfast/identity'
import { METADATA_PATTERN, NONCE_PATTERN, SECRET_PATTERN } from './internal/alphabets.ts'
import { integer, optional, text } from './internal/fields.ts'
import { foldMetadata } from './internal/metadata.ts'
import { parseSignature } from './internal/signature-text.ts'
import { refuseUnfitFields, type SignedField } from './internal/signed-fields.ts'
import { markVerified } from './internal/verified.ts'
import type { AuthClaim, ClientClaim, DeviceClaim, OpenClawConnect } from './messages.ts'
import type { ProofFamily, ProofVerdict, VerifiedProof } from './proof.ts'
import { NAME_PATTERN, parseWish, type RoleTable } from './scopes.ts'

/** How far a peer's clock may be from the gateway's: ±120 s, as measured on OpenClaw 2026.4.8 and 2026.9.6. */
export const SIGNED_AT_LIMIT_MS = 120_000

const UTF_8 = new TextEncoder()

/** The fields of the signed string, as they travel in the frame: scopes in the order sent, which is what was signed. */
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

/**
 * The bytes that an OpenClaw device signs: UTF-8, fields joined by `|`; `v3` adds platform and device family, trimmed and
 * in ASCII lower case. Golden vectors: `test/handshake/vectors/openclaw-proof.json`.
 *
 * The joined string is unambiguous only where every field keeps to its alphabet. Nothing is checked here: that is done by
 * {@link signOpenClawProof} and {@link parseConnect}.
 */
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
  return UTF_8.encode(parts.join('|'))
}

/** The credential that is part of the signed string: the first there is, in the order measured on the peer. */
function signedCredential(auth: AuthClaim): string {
  return auth.token ?? auth.deviceToken ?? auth.bootstrapToken ?? ''
}

export interface SignOptions {
  readonly identity: DeviceIdentity
  /** Of this socket; `ts` in ms since the epoch. */
  readonly challenge: { readonly nonce: string; readonly ts: number }
  readonly client: ClientClaim
  readonly role: string
  readonly scopes: readonly string[]
  /** As sent in the same frame. */
  readonly auth: AuthClaim
  /** `v2` only for gateways of OpenClaw 2026.2. @defaultValue `'v3'` */
  readonly version?: 'v2' | 'v3'
}

/**
 * The device half of a `connect`: this identity wishes this, on the socket of this challenge.
 * Signed at the *gateway's* time, so that a wrong clock here does no harm.
 *
 * @throws {@link HandshakeError} `WISH_INVALID`: a field outside its alphabet, where the joined string would be ambiguous, or
 * too many scopes, or one of them twice. Nothing was signed. The error names the field and quotes nothing.
 */
export function signOpenClawProof(options: SignOptions): DeviceClaim {
  const { identity, challenge, client, role, scopes } = options
  refuseUnfit(options)
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

const name = text(NAME_PATTERN)
const metadata = text(METADATA_PATTERN)
const family = optional(metadata, null)
const secret = text(SECRET_PATTERN)
const challengeNonce = text(NONCE_PATTERN)
const time = integer(0)

/** Every field of the signed string beside what a gate reads it by. */
function refuseUnfit({ challenge, client, role, scopes, auth }: SignOptions): void {
  const fields: readonly SignedField[] = [
    ['client.id', name, client.id],
    ['client.mode', name, client.mode],
    ['client.platform', metadata, client.platform],
    ['client.deviceFamily', family, client.deviceFamily ?? undefined],
    ['role', name, role],
    ...scopes.map((scope): SignedField => ['scopes', name, scope]),
    ['auth', secret, signedCredential(auth)],
    ['challenge.nonce', challengeNonce, challenge.nonce],
    ['challenge.ts', time, challenge.ts],
  ]
  refuseUnfitFields(fields, scopes)
}

type OpenClawClaims = Omit<OpenClawConnect, 'family'>

export interface VerifyContext {
  /** The gateway's table: what it does not know is refused by rule 2, before any proof is looked at. */
  readonly roles: RoleTable
  /** The nonce of this socket's challenge, or `null` where it was spent. */
  readonly nonce: string | null
  readonly nowMs: number
  /** For a caller that remembers keys: the key that this text spells, or `null`. @defaultValue `parsePublicKey` */
  readonly readPublicKey?: (text: string) => PublicKey | null
}

/**
 * A verdict on the proof in a `connect`. Whatever a peer sends, the answer is a verdict.
 *
 * `verified` claims: the key is canonical and of full order, the id is its hash, the nonce is this socket's and unspent,
 * the time is within ±{@link SIGNED_AT_LIMIT_MS}, and the signature is over exactly the fields of the frame. The caller
 * spends the nonce, whatever the verdict.
 *
 * @throws TypeError for a wish that the table does not know: rule 2 refuses that, so it never comes this far.
 */
export function verifyOpenClawProof(params: OpenClawClaims, context: VerifyContext): ProofVerdict {
  const { device } = params
  const wish = parseWish(context.roles, params.role, params.scopes)
  if (wish === null) throw new TypeError('a wish that the table of roles does not know has no proof')
  if (device === null) return { verdict: 'absent' }
  const publicKey = (context.readPublicKey ?? parsePublicKey)(device.publicKey)
  if (publicKey === null) return { verdict: 'public-key-invalid' }
  const deviceId = deviceIdOf(publicKey)
  if (device.id !== deviceId) return { verdict: 'device-id-mismatch' }
  const { nonce } = context
  if (nonce === null || device.nonce !== nonce) return { verdict: 'nonce-mismatch' }
  const deltaMs = device.signedAtMs - context.nowMs
  if (Math.abs(deltaMs) > SIGNED_AT_LIMIT_MS) {
    return { verdict: 'signature-expired', deltaMs, limitMs: SIGNED_AT_LIMIT_MS }
  }
  const family = provenFamily(params, device, nonce, publicKey)
  if (family === null) return { verdict: 'signature-invalid' }
  const client = signedClaims(params.client, family)
  return {
    verdict: 'verified',
    proof: markVerified({ family, deviceId, publicKey, wish, client } as VerifiedProof),
  }
}

function provenFamily(
  params: OpenClawClaims,
  device: DeviceClaim,
  nonce: string,
  publicKey: PublicKey,
): ProofFamily | null {
  const signature = parseSignature(device.signature)
  if (signature === null) return null
  const fields: OpenClawProofFields = {
    deviceId: device.id,
    client: params.client,
    role: params.role,
    scopes: params.scopes,
    signedAtMs: device.signedAtMs,
    credential: signedCredential(params.auth),
    nonce,
  }
  if (verifySignature(publicKey, openClawProofBytes('v3', fields), signature)) return 'openclaw-v3'
  return verifySignature(publicKey, openClawProofBytes('v2', fields), signature) ? 'openclaw-v2' : null
}

/** Only what was signed, in the form in which it was signed: nothing else may be stored or decided on. */
function signedClaims(claim: ClientClaim, family: ProofFamily): VerifiedProof['client'] {
  const { id, mode } = claim
  if (family === 'openclaw-v2') return { id, mode, platform: null, deviceFamily: null }
  return {
    id,
    mode,
    platform: foldMetadata(claim.platform) || null,
    deviceFamily: foldMetadata(claim.deviceFamily ?? '') || null,
  }
}
