import { randomBytes } from 'node:crypto'
import {
  type DeviceId,
  type DeviceIdentity,
  deviceIdOf,
  formatPublicKey,
  type PublicKey,
  parsePublicKey,
  verifySignature,
} from '@holdfast/identity'
import type { PresentedCredential } from './credential.ts'
import { evidenceOf, type HoldfastCredential, sealOf, subjectOf } from './holdfast-credential.ts'
import {
  ADDRESS_PATTERN,
  CLIENT_NONCE_PATTERN,
  LINK_PATTERN,
  MAX_PORT,
  METADATA_PATTERN,
  NONCE_PATTERN,
} from './internal/alphabets.ts'
import { integer, text } from './internal/fields.ts'
import { foldMetadata } from './internal/metadata.ts'
import { parseSignature } from './internal/signature-text.ts'
import { refuseUnfitFields, type SignedField } from './internal/signed-fields.ts'
import { markVerified } from './internal/verified.ts'
import type { ClientClaim, HoldfastConnect } from './messages.ts'
import type { ProofVerdict, VerifiedProof } from './proof.ts'
import { NAME_PATTERN, parseWish, type RoleTable } from './scopes.ts'
import { signedBytes, transcriptBytes, transcriptHash } from './transcript.ts'

/** What a client dialled: an IP literal in canonical spelling, or a host name in lower case, and the port. */
export interface DialledAddress {
  readonly address: string
  readonly port: number
}

export interface HoldfastSignOptions {
  readonly identity: DeviceIdentity
  /** The pinned gateway: the only one that this proof is for. */
  readonly gatewayId: DeviceId
  readonly dialled: DialledAddress
  /** Of this socket; `ts` in ms since the epoch. */
  readonly challenge: { readonly nonce: string; readonly ts: number }
  readonly client: ClientClaim
  readonly role: string
  readonly scopes: readonly string[]
  readonly credential: HoldfastCredential
  /** 32 bytes in base64url. @defaultValue random */
  readonly clientNonce?: string
}

/** A proof, ready to be sent: these fields belong into the `params` of a `connect`. */
export interface HoldfastProof {
  readonly fields: {
    readonly proof: 'holdfast/1'
    readonly auth: Readonly<Record<string, unknown>>
    readonly device: Readonly<Record<string, unknown>>
  }
  /** What the gateway's answer must refer to. */
  readonly transcriptHash: Uint8Array
}

/**
 * This identity wishes this, of this gateway and no other, at this address, on the socket of this challenge, and shows
 * this credential without sending it.
 *
 * @throws {@link HandshakeError} `WISH_INVALID`: a field outside its alphabet or bounds, too many scopes, or one twice.
 * Nothing was signed. The error names the field and quotes nothing.
 */
export function signHoldfastProof(options: HoldfastSignOptions): HoldfastProof {
  const { identity, challenge, dialled, gatewayId, client, role, scopes } = options
  const clientNonce = options.clientNonce ?? randomBytes(32).toString('base64url')
  refuseUnfit(options, clientNonce)
  const seal = sealOf(options.credential)
  const publicKey = formatPublicKey(identity.publicKey)
  const transcript = transcriptBytes({
    gatewayId,
    nonce: challenge.nonce,
    challengedAtMs: challenge.ts,
    clientNonce,
    ...dialled,
    publicKey,
    role,
    scopes,
    client,
    credential: options.credential.kind,
    credentialSubject: seal.subject,
  })
  const { evidence, claim } = seal.seal(transcript)
  const signed = signedBytes(transcript, evidence)
  return {
    fields: {
      proof: 'holdfast/1',
      auth: claim,
      device: {
        id: identity.id,
        publicKey,
        signature: Buffer.from(identity.sign(signed)).toString('base64url'),
        signedAt: challenge.ts,
        nonce: challenge.nonce,
        clientNonce,
        gatewayId,
        ...dialled,
      },
    },
    transcriptHash: transcriptHash(signed),
  }
}

const name = text(NAME_PATTERN)
const metadata = text(METADATA_PATTERN)
const challengeNonce = text(NONCE_PATTERN)
const ownNonce = text(CLIENT_NONCE_PATTERN)
const dialledAddress = text(ADDRESS_PATTERN)
const dialledPort = integer(1, MAX_PORT)
const time = integer(0)
const link = text(LINK_PATTERN)

/** Every field of the transcript beside what a gate reads it by. */
function refuseUnfit(options: HoldfastSignOptions, clientNonce: string): void {
  const { challenge, dialled, client, role, scopes, credential } = options
  const fields: readonly SignedField[] = [
    ['client.id', name, client.id],
    ['client.mode', name, client.mode],
    ['client.platform', metadata, client.platform],
    ['role', name, role],
    ...scopes.map((scope): SignedField => ['scopes', name, scope]),
    ['challenge.nonce', challengeNonce, challenge.nonce],
    ['challenge.ts', time, challenge.ts],
    ['clientNonce', ownNonce, clientNonce],
    ['dialled.address', dialledAddress, dialled.address],
    ['dialled.port', dialledPort, dialled.port],
    ...(credential.kind === 'delegation' ? credential.chain : []).map(
      (each): SignedField => ['credential.chain', link, each],
    ),
  ]
  refuseUnfitFields(fields, scopes)
}

/** What a gate knows of itself and of the socket that a `holdfast/1` connect came over. */
export interface HoldfastVerifyContext {
  /** The gateway's table: what it does not know is refused by rule 2, before any proof is looked at. */
  readonly roles: RoleTable
  readonly gatewayId: DeviceId
  /** The nonce of this socket's challenge, or `null` where it was spent. */
  readonly nonce: string | null
  /** The time in this socket's challenge. */
  readonly challengedAtMs: number
  /** Is this one of the gateway's addresses, for this socket? */
  readonly isOwnAddress: (dialled: DialledAddress) => boolean
  /** Does the gateway token, as it is now, make this MAC over this transcript? In constant time; and its commitment. */
  readonly token: {
    readonly commitment: string
    readonly verifiesMac: (transcript: Uint8Array, mac: string) => boolean
  }
  /** For a caller that remembers keys: the key that this text spells, or `null`. @defaultValue `parsePublicKey` */
  readonly readPublicKey?: (text: string) => PublicKey | null
}

/** What a `holdfast/1` connect proves, and what it shows beside that. */
export interface HoldfastReading {
  readonly proof: ProofVerdict
  readonly credential: PresentedCredential
  /** What the gateway's answer refers to. */
  readonly transcriptHash: Uint8Array
}

/**
 * A verdict on the proof and the credential in a `connect`. Whatever a peer sends, the answer is a verdict.
 *
 * `verified` claims: the key is canonical and of full order, the id is its hash; gateway, nonce, time and address are this
 * socket's; and the signature is over exactly the fields of the frame and the evidence for its credential. No clock is
 * asked. The caller spends the nonce, whatever the verdict.
 *
 * @throws TypeError for a wish that the table does not know: rule 2 refuses that, so it never comes this far.
 */
export function verifyHoldfastProof(
  params: HoldfastConnect,
  context: HoldfastVerifyContext,
): HoldfastReading {
  const { device } = params
  const transcript = transcriptBytes({
    ...device,
    challengedAtMs: device.signedAtMs,
    role: params.role,
    scopes: params.scopes,
    client: params.client,
    credential: params.credential.kind,
    credentialSubject: subjectOf(params.credential),
  })
  const evidence = evidenceOf(params.credential)
  const signed = evidence === null ? null : signedBytes(transcript, evidence)
  return {
    proof: proofVerdict(params, context, signed),
    credential: presentedBy(params, context, transcript),
    transcriptHash: transcriptHash(signed ?? transcript),
  }
}

function proofVerdict(
  params: HoldfastConnect,
  context: HoldfastVerifyContext,
  signed: Uint8Array | null,
): ProofVerdict {
  const { device, client } = params
  const wish = parseWish(context.roles, params.role, params.scopes)
  if (wish === null) throw new TypeError('a wish that the table of roles does not know has no proof')
  const publicKey = (context.readPublicKey ?? parsePublicKey)(device.publicKey)
  if (publicKey === null) return { verdict: 'public-key-invalid' }
  const deviceId = deviceIdOf(publicKey)
  if (device.id !== deviceId) return { verdict: 'device-id-mismatch' }
  const misdirected = misdirection(params, context)
  if (misdirected !== null) return misdirected
  if (signed === null || !signedBy(publicKey, signed, device.signature))
    return { verdict: 'signature-invalid' }
  const { id, mode } = client
  const claims = { id, mode, platform: foldMetadata(client.platform) || null, deviceFamily: null }
  const proof = { family: 'holdfast/1', deviceId, publicKey, wish, client: claims } as VerifiedProof
  return { verdict: 'verified', proof: markVerified(proof) }
}

/** Rule 6: made for another socket, another time, another gateway or another address. */
function misdirection({ device }: HoldfastConnect, context: HoldfastVerifyContext): ProofVerdict | null {
  if (device.gatewayId !== context.gatewayId) return { verdict: 'gateway-mismatch' }
  if (device.nonce !== context.nonce) return { verdict: 'nonce-mismatch' }
  const deltaMs = device.signedAtMs - context.challengedAtMs
  if (deltaMs !== 0) return { verdict: 'signature-expired', deltaMs, limitMs: 0 }
  const { address, port } = device
  if (context.isOwnAddress({ address, port })) return null
  return {
    verdict: 'address-mismatch',
    dialled: `${address.includes(':') ? `[${address}]` : address}:${port}`,
  }
}

/** Checked against the transcript of the frame itself, so that rule 3 speaks before rule 6 does. */
function presentedBy(
  { credential }: HoldfastConnect,
  { token, gatewayId }: HoldfastVerifyContext,
  transcript: Uint8Array,
): PresentedCredential {
  switch (credential.kind) {
    case 'device-key':
      return { kind: 'none' }
    case 'gateway-token':
      return token.verifiesMac(transcript, credential.mac)
        ? { kind: 'gateway-token', commitment: token.commitment }
        : { kind: 'wrong', presented: 'gateway-token' }
    case 'join-code': {
      const key = parsePublicKey(credential.key)
      return key !== null && signedBy(key, transcript, credential.signature)
        ? { kind: 'join-key', key: credential.key }
        : { kind: 'wrong', presented: 'join-code' }
    }
    case 'delegation':
      return { kind: 'delegation', chain: credential.chain, gatewayId }
  }
}

function signedBy(key: PublicKey, message: Uint8Array, text: string): boolean {
  const signature = parseSignature(text)
  return signature !== null && verifySignature(key, message, signature)
}
