import { createHmac, createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from 'node:crypto'
import { type DeviceIdentity, formatPublicKey, identityFrom } from '@holdfast/identity'
import { parseSignature } from './internal/signature-text.ts'
import type { CredentialClaim } from './messages.ts'
import { encodeList } from './transcript.ts'

/** The credential that a client shows beside its key. What is secret in it stays where it is. */
export type HoldfastCredential =
  /** Nothing beside the key: enough for a device that the gateway knows. */
  | { readonly kind: 'device-key' }
  | { readonly kind: 'gateway-token'; readonly token: string }
  | { readonly kind: 'join-code'; readonly code: string }
  /** Rights that a device signed for this key: each link as it travels, the root's first. */
  | { readonly kind: 'delegation'; readonly chain: readonly string[] }

const TOKEN_KEY_INFO = 'holdfast/1 gateway-token'
const JOIN_KEY_INFO = 'holdfast/1 join-code'

/**
 * The key of the MAC by which a peer shows that it has the gateway token: HKDF-SHA256 (RFC 5869) without salt, 32 bytes. A
 * key object, which prints nothing of itself; and Node 24 takes 36 µs for a MAC whose key comes as bytes, since it looks
 * whether they are a key object by an error that it makes and catches, and 4 µs with this one (24.21.0).
 */
export function gatewayTokenMacKey(token: string): KeyObject {
  return createSecretKey(derive(token, TOKEN_KEY_INFO))
}

/** HMAC-SHA256 over a transcript (RFC 2104), 32 bytes. */
export function transcriptMac(macKey: KeyObject, transcript: Uint8Array): Uint8Array {
  return createHmac('sha256', macKey).update(transcript).digest()
}

/** Is this the MAC, in its one spelling, of this transcript under this key? In constant time. */
export function verifyTranscriptMac(macKey: KeyObject, transcript: Uint8Array, mac: string): boolean {
  const expected = Buffer.from(textOf(transcriptMac(macKey, transcript)))
  // Lengths in bytes: a text of as many characters may have more.
  const shown = Buffer.from(mac)
  return shown.length === expected.length && timingSafeEqual(shown, expected)
}

/**
 * The public key of a join code, in its one spelling: what a store keeps of the code, and what names it on the wire.
 * Neither gives the code away: it has 128 random bits.
 */
export function joinCodeKey(code: string): string {
  return formatPublicKey(joinCodeIdentity(code).publicKey)
}

/** The key pair that a join code is: its seed is HKDF-SHA256 of the code (RFC 5869), 32 bytes. */
function joinCodeIdentity(code: string): DeviceIdentity {
  return identityFrom({ seed: derive(code, JOIN_KEY_INFO) })
}

function derive(secret: string, info: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', info, 32))
}

/** A credential on its way into a frame: what the transcript says of it, and how the transcript is then sealed. */
export interface CredentialSeal {
  readonly subject: string | Uint8Array
  /** The evidence over the transcript, and the `auth` of the frame. */
  seal(transcript: Uint8Array): { readonly evidence: Uint8Array; readonly claim: CredentialClaim }
}

export function sealOf(credential: HoldfastCredential): CredentialSeal {
  switch (credential.kind) {
    case 'device-key':
      return { subject: '', seal: () => ({ evidence: NOTHING, claim: { kind: 'device-key' } }) }
    case 'gateway-token':
      return {
        subject: '',
        seal: transcript => {
          const evidence = transcriptMac(gatewayTokenMacKey(credential.token), transcript)
          return { evidence, claim: { kind: 'gateway-token', mac: textOf(evidence) } }
        },
      }
    case 'join-code': {
      const identity = joinCodeIdentity(credential.code)
      const key = formatPublicKey(identity.publicKey)
      return {
        subject: key,
        seal: transcript => {
          const evidence = identity.sign(transcript)
          return { evidence, claim: { kind: 'join-code', key, signature: textOf(evidence) } }
        },
      }
    }
    case 'delegation': {
      const { chain } = credential
      return {
        subject: encodeList(chain),
        seal: () => ({ evidence: NOTHING, claim: { kind: 'delegation', chain } }),
      }
    }
  }
}

/** What the transcript says of a credential that came in a frame. */
export function subjectOf(claim: CredentialClaim): string | Uint8Array {
  if (claim.kind === 'join-code') return claim.key
  return claim.kind === 'delegation' ? encodeList(claim.chain) : ''
}

/** The evidence that came in a frame, or `null` where it is not in its one spelling. */
export function evidenceOf(claim: CredentialClaim): Uint8Array | null {
  switch (claim.kind) {
    case 'gateway-token': {
      const bytes = Buffer.from(claim.mac, 'base64url')
      return bytes.length === 32 && textOf(bytes) === claim.mac ? bytes : null
    }
    case 'join-code':
      return parseSignature(claim.signature)
    default:
      return NOTHING
  }
}

const NOTHING = new Uint8Array()

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url')
}
