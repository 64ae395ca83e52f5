import { hash } from 'node:crypto'
import type { ClientClaim } from './messages.ts'

/** What a credential kind is called on the wire and in the transcript. */
export type CredentialKind = 'device-key' | 'gateway-token' | 'delegation' | 'join-code'

/** Everything that a `holdfast/1` proof is about, as it travels in the frame. */
export interface TranscriptFields {
  /** The gateway that is meant. */
  readonly gatewayId: string
  /** Of the challenge. */
  readonly nonce: string
  /** The challenge's own time, in ms since the epoch, echoed exactly. */
  readonly challengedAtMs: number
  readonly clientNonce: string
  /** What was dialled: an IP literal in canonical spelling, or a host name in lower case; and the port. */
  readonly address: string
  readonly port: number
  /** In its one spelling. */
  readonly publicKey: string
  readonly role: string
  /** In any order: the transcript sorts them. */
  readonly scopes: readonly string[]
  readonly client: Pick<ClientClaim, 'id' | 'mode' | 'platform'>
  readonly credential: CredentialKind
  /**
   * What the credential is, without giving it away: the public key of a join code in its one spelling; the links of a
   * delegation, as {@link encodeList} joins them; empty for the other kinds.
   */
  readonly credentialSubject: string | Uint8Array
}

/** What the gateway answers for when it admits. */
export interface OutcomeFields {
  /** {@link transcriptHash} of what the device signed. */
  readonly transcriptHash: Uint8Array
  readonly connectionId: string
  readonly role: string
  /** In any order: they are sorted. */
  readonly scopes: readonly string[]
}

/**
 * The bytes of a transcript: 0x00, then each field behind its length in bytes (4 bytes, big-endian), texts in UTF-8,
 * numbers in decimal, the domain tag first. So no two different sets of fields have the same bytes, and the bytes are none
 * of any other string that is signed here. Byte by byte in `PROTOCOL.md`.
 */
export function transcriptBytes(fields: TranscriptFields): Uint8Array {
  return tagged('holdfast/1 connect', [
    fields.gatewayId,
    fields.nonce,
    String(fields.challengedAtMs),
    fields.clientNonce,
    fields.address,
    String(fields.port),
    fields.publicKey,
    fields.role,
    encodeList([...fields.scopes].sort()),
    fields.client.id,
    fields.client.mode,
    fields.client.platform,
    fields.credential,
    fields.credentialSubject,
  ])
}

/** What the device signs: the transcript, and behind it, length-prefixed, the evidence for its credential (it may be empty). */
export function signedBytes(transcript: Uint8Array, evidence: Uint8Array): Uint8Array {
  return Buffer.concat([transcript, lengthOf(evidence.length), evidence])
}

/** SHA-256 of what the device signed: the name by which the gateway's answer refers to it. */
export function transcriptHash(signed: Uint8Array): Uint8Array {
  return hash('sha256', signed, 'buffer')
}

/** What the gateway signs when it admits. */
export function outcomeBytes(fields: OutcomeFields): Uint8Array {
  return tagged('holdfast/1 admitted', [
    fields.transcriptHash,
    fields.connectionId,
    fields.role,
    encodeList([...fields.scopes].sort()),
  ])
}

/** Texts as one field: each behind its length. */
export function encodeList(items: readonly string[]): Uint8Array {
  return Buffer.concat(items.flatMap(prefixed))
}

function tagged(tag: string, fields: readonly (string | Uint8Array)[]): Uint8Array {
  return Buffer.concat([Buffer.of(0), ...[tag, ...fields].flatMap(prefixed)])
}

function prefixed(field: string | Uint8Array): [Uint8Array, Uint8Array] {
  const bytes = typeof field === 'string' ? Buffer.from(field) : field
  return [lengthOf(bytes.length), bytes]
}

function lengthOf(bytes: number): Uint8Array {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes)
  return length
}
