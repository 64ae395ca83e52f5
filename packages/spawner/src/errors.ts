import type { DeviceId } from '@holdfast/identity'
import type { PeerRefusal } from './peer-refusal.ts'

/** How far a handshake had come: dialling, waiting for the gateway's challenge, or for its answer to `connect`. */
export type HandshakeStep = 'dial' | 'challenge' | 'hello'

/**
 * Why what a child was given cannot be read: the marker names no place; the descriptor is not open, or no pipe; it was read
 * before, or the parent died before it wrote; it took too long; the file is not there (any more), is another user's or open
 * to others, or cannot be taken away; what came is not a delegation.
 */
export type DelegationLoss =
  | 'marker'
  | 'descriptor'
  | 'empty'
  | 'timeout'
  | 'file-absent'
  | 'file-foreign'
  | 'file-fixed'
  | 'malformed'

/** Everything the spawner package can fail at, and the facts it hands over when it does. No fact is secret. */
export interface SpawnerFailures {
  /** This install has no identity yet. Connecting never makes one. */
  IDENTITY_MISSING: { readonly path: string; readonly fix: string }
  /** The identity lives in memory only: there is no place that a child could be pointed at. */
  IDENTITY_IN_MEMORY: { readonly deviceId: DeviceId; readonly fix: string }
  /** No gateway left its note in the state directory, within the time that was given. */
  GATEWAY_NOT_FOUND: { readonly path: string; readonly fix: string }
  /** Nobody answers at the address, within the time that was given: a refused port, a lost network. */
  GATEWAY_UNREACHABLE: {
    readonly url: string
    readonly errno: string
    /** Who named the address: the gateway's note in the state directory, or the caller. */
    readonly source: 'note' | 'option'
    readonly fix: string
  }
  /** The note in the state directory is another gateway's than the one asked for. Nothing was sent. */
  GATEWAY_UNEXPECTED: {
    readonly path: string
    readonly expected: DeviceId
    readonly found: DeviceId
    readonly fix: string
  }
  /** The gateway token's file holds something that cannot be sent as a token. */
  GATEWAY_TOKEN_UNUSABLE: { readonly path: string; readonly fix: string }
  /** An address without the id of the gateway that is meant there: whoever listens could be it. Nothing was sent. */
  GATEWAY_UNPINNED: { readonly url: string; readonly fix: string }
  /**
   * Whoever answers is not the gateway that is meant, or cannot show it. It has learnt nothing that it could use: no token,
   * and a proof for this one socket.
   */
  GATEWAY_UNPROVEN: {
    readonly url: string
    readonly expected: DeviceId
    /** The gateway that it says it is, where that is another one. */
    readonly found: DeviceId | null
    readonly reason: 'absent' | 'another' | 'signature-invalid'
    readonly fix: string
  }
  /** No right of its own can be given to a child here: the gateway, or this connection, does not speak `holdfast/1`. */
  DELEGATION_UNSUPPORTED: { readonly reason: 'protocol' | 'connection'; readonly fix: string }
  /**
   * This process was given a right of its own, and what it was given cannot be read. It does not fall back to the install's
   * key.
   */
  DELEGATION_UNAVAILABLE: {
    /** The variable that marks it. */
    readonly variable: string
    readonly place: string
    readonly reason: DelegationLoss
    readonly fix: string
  }
  /** Whoever answers does not speak the gateway protocol. */
  PROTOCOL_UNEXPECTED: {
    readonly url: string
    readonly step: HandshakeStep
    readonly found: string
    readonly fix: string
  }
  /** The gateway took the connection and then fell silent. */
  HANDSHAKE_TIMEOUT: {
    readonly url: string
    readonly step: HandshakeStep
    readonly limitMs: number
    readonly fix: string
  }
  /** The gateway closed the socket before it admitted or refused anybody. */
  GATEWAY_HUNG_UP: {
    readonly url: string
    readonly step: HandshakeStep
    readonly closeCode: number
    readonly reason: string
    readonly fix: string
  }
  /** The gateway answered, and the answer is no. */
  ADMISSION_REFUSED: PeerRefusal & {
    readonly url: string
    /** What was shown beside the device's signature in the attempt that this answers. */
    readonly credential: 'gateway-token' | 'join-code' | 'delegation' | 'none'
    readonly fix: string
  }
  /** The gateway admitted, but with less than was asked for. The socket was closed. */
  SCOPES_MISSING: {
    readonly url: string
    readonly asked: readonly string[]
    readonly granted: readonly string[]
    readonly missing: readonly string[]
    readonly fix: string
  }
  /**
   * The gateway answered a call with an error. `code` and `message` are the gateway's own, as printable ASCII of at most 64
   * and 200 characters; `details` is as it came, and not fit for a terminal.
   */
  CALL_FAILED: {
    readonly method: string
    readonly code: string
    readonly message: string
    readonly details: Readonly<Record<string, unknown>> | null
  }
  /** The socket was lost. `sent`: the call was under way, so it may or may not have been carried out. */
  CONNECTION_LOST: { readonly method: string; readonly sent: boolean }
  /** The connection has ended for good. The call was not sent. */
  CONNECTION_CLOSED: { readonly method: string; readonly closeCode: number; readonly reason: string }
}

/** The closed set of codes of {@link SpawnerError}. */
export type SpawnerErrorCode = keyof SpawnerFailures

type Sentences = { readonly [Code in SpawnerErrorCode]: (detail: SpawnerFailures[Code]) => string }

const sentences: Sentences = {
  IDENTITY_MISSING: d => `${d.path} does not exist. ${d.fix}`,
  IDENTITY_IN_MEMORY: d => `device ${d.deviceId} lives in memory only. ${d.fix}`,
  GATEWAY_NOT_FOUND: d => `no gateway has left its note at ${d.path}. ${d.fix}`,
  GATEWAY_UNREACHABLE: d => `nobody answers at ${d.url} (${d.errno}). ${d.fix}`,
  GATEWAY_UNEXPECTED: d => `${d.path} is the note of gateway ${d.found}, not of ${d.expected}. ${d.fix}`,
  GATEWAY_TOKEN_UNUSABLE: d => `${d.path} does not hold a token. ${d.fix}`,
  GATEWAY_UNPINNED: d => `no gateway id is known for ${d.url}. ${d.fix}`,
  GATEWAY_UNPROVEN: d => `${d.url} is not gateway ${d.expected} (${d.reason}). ${d.fix}`,
  DELEGATION_UNSUPPORTED: d => `no delegation can be made here (${d.reason}). ${d.fix}`,
  DELEGATION_UNAVAILABLE: d => `${d.variable} names ${d.place}, which cannot be used (${d.reason}). ${d.fix}`,
  PROTOCOL_UNEXPECTED: d => `${d.url} is no gateway (${d.step}: ${d.found}). ${d.fix}`,
  HANDSHAKE_TIMEOUT: d => `${d.url} fell silent (${d.step}, ${d.limitMs} ms). ${d.fix}`,
  GATEWAY_HUNG_UP: d =>
    `${d.url} closed with ${d.closeCode} (${d.step}: ${d.reason || 'no reason'}). ${d.fix}`,
  ADMISSION_REFUSED: d => `${d.url} refused: ${d.refusal ?? d.code ?? d.closeCode} (${d.reason}). ${d.fix}`,
  SCOPES_MISSING: d => `${d.url} did not give ${d.missing.join(', ')}. ${d.fix}`,
  CALL_FAILED: d => `${d.method}: ${d.code}: ${d.message}`,
  CONNECTION_LOST: d => `${d.method}: the connection was lost${d.sent ? ' before the answer came' : ''}`,
  CONNECTION_CLOSED: d => `${d.method}: the connection has ended (${d.closeCode} ${d.reason})`,
}

/**
 * The one error class of this package. `code` is from a closed set, `detail` holds the facts of that code
 * ({@link SpawnerFailures}), `cause` the system's own error where there is one. None of them holds a key or a token.
 */
export class SpawnerError<Code extends SpawnerErrorCode = SpawnerErrorCode> extends Error {
  override readonly name = 'SpawnerError'
  readonly code: Code
  readonly detail: SpawnerFailures[Code]

  constructor(code: Code, detail: SpawnerFailures[Code], options?: { readonly cause?: unknown }) {
    super(`${code}: ${sentences[code](detail)}`, options)
    this.code = code
    this.detail = detail
  }
}

/**
 * Whether a caught value is a {@link SpawnerError}, and, where a code is given, one with that code.
 * It also recognises the errors of another copy of this package in the same process.
 */
export function isSpawnerError<Code extends SpawnerErrorCode = SpawnerErrorCode>(
  value: unknown,
  code?: Code,
): value is SpawnerError<Code> {
  if (!(value instanceof Error) || value.name !== 'SpawnerError' || !('code' in value)) return false
  if (typeof value.code !== 'string' || !Object.hasOwn(sentences, value.code)) return false
  return code === undefined || value.code === code
}
