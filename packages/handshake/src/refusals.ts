import type { FrameProblem } from './codec.ts'
import { type PeerError, PROTOCOL_RANGE } from './messages.ts'
import type { Scope } from './scopes.ts'

/** Why a wish needs a person, in the peer's words. */
export type PairingReason = 'not-paired' | 'role-upgrade' | 'scope-upgrade'

/** Which bound on open requests was met. */
export type RequestCap = 'device-role' | 'source' | 'total'

/** The machine-readable reason that a peer is told: everything a gate can refuse with, and the facts of each. */
export type Refusal =
  // Rule 0
  | { readonly code: 'handshake-timeout'; readonly limitMs: number }
  | { readonly code: 'sockets-full' }
  | { readonly code: 'rate-limited'; readonly retryAfterMs: number }
  | { readonly code: 'frame-too-large'; readonly limitBytes: number }
  // Rule 1, before the upgrade
  | { readonly code: 'host-rejected' }
  | { readonly code: 'origin-rejected' }
  | { readonly code: 'proxy-unattributed'; readonly header: string }
  // Rule 2
  | { readonly code: 'malformed'; readonly problem: FrameProblem }
  | { readonly code: 'wish-unknown' }
  | { readonly code: 'protocol-mismatch' }
  | { readonly code: 'connect-repeated' }
  // Rule 3
  | { readonly code: 'token-mismatch' }
  | { readonly code: 'device-token-mismatch' }
  | { readonly code: 'join-code-invalid' }
  // Rules 4 to 7a
  | { readonly code: 'device-required' }
  | { readonly code: 'device-auth-invalid' }
  | { readonly code: 'public-key-invalid' }
  | { readonly code: 'device-id-mismatch' }
  | { readonly code: 'nonce-mismatch' }
  | { readonly code: 'signature-expired'; readonly deltaMs: number; readonly limitMs: number }
  | { readonly code: 'signature-invalid' }
  | { readonly code: 'proof-downgraded' }
  // Rule 8, and a live socket whose role was removed
  | { readonly code: 'device-revoked' }
  // Rules 12 and 13
  | {
      readonly code: 'pairing-required'
      readonly requestId: string
      readonly missing: readonly Scope[]
      readonly reason: PairingReason
      readonly expiresAtMs: number
    }
  | { readonly code: 'requests-full'; readonly cap: RequestCap }
  // Of a live socket
  | { readonly code: 'scopes-narrowed' }
  | { readonly code: 'token-rotated' }
  // Inability of the gateway: it refuses rather than guess
  | { readonly code: 'store-unavailable' }
  | { readonly code: 'shutting-down' }

export type RefusalCode = Refusal['code']

/** The close code of a *live* socket whose device was removed or revoked: final, clients do not retry. */
export const CUT_CLOSE_CODE = 4001

/** How a refusal reaches the peer: the error of the response, then the close of the socket. */
export interface PeerAnswer {
  readonly error: PeerError
  /** RFC 6455 §7.4 close code. */
  readonly closeCode: number
  /** At most 123 bytes of ASCII. */
  readonly closeReason: string
  /** May the same wish pass later, by waiting alone? */
  readonly retryable: boolean
}

interface Row {
  readonly peerCode: 'INVALID_REQUEST' | 'NOT_PAIRED' | 'UNAVAILABLE'
  /** OpenClaw's spelling, which deployed clients act on; `null` where it has none. */
  readonly detailsCode: string | null
  readonly closeCode: number
  readonly message: string
  readonly nextStep?: 'retry_with_device_token' | 'update_auth_credentials' | 'wait_then_retry'
  readonly retryable?: true
}

const BAD = 'INVALID_REQUEST'
const ROWS: Readonly<Record<RefusalCode, Row>> = {
  'handshake-timeout': { peerCode: BAD, detailsCode: null, closeCode: 1008, message: 'no connect in time' },
  'sockets-full': {
    peerCode: 'UNAVAILABLE',
    detailsCode: null,
    closeCode: 1013,
    message: 'too many sockets before authentication',
    nextStep: 'wait_then_retry',
    retryable: true,
  },
  'rate-limited': {
    peerCode: 'UNAVAILABLE',
    detailsCode: 'AUTH_RATE_LIMITED',
    closeCode: 1013,
    message: 'too many wrong credentials',
    nextStep: 'wait_then_retry',
    retryable: true,
  },
  'frame-too-large': { peerCode: BAD, detailsCode: null, closeCode: 1009, message: 'frame too large' },
  'host-rejected': { peerCode: BAD, detailsCode: null, closeCode: 1008, message: 'host not allowed' },
  'origin-rejected': {
    peerCode: BAD,
    detailsCode: 'CONTROL_UI_ORIGIN_NOT_ALLOWED',
    closeCode: 1008,
    message: 'origin not allowed',
  },
  'proxy-unattributed': {
    peerCode: BAD,
    detailsCode: 'AUTH_IDENTITY_HEADER_REQUIRED',
    closeCode: 1008,
    message: 'forwarding header without a configured proxy',
  },
  malformed: { peerCode: BAD, detailsCode: null, closeCode: 1008, message: 'invalid connect' },
  'wish-unknown': { peerCode: BAD, detailsCode: null, closeCode: 1008, message: 'unknown role or scope' },
  'protocol-mismatch': {
    peerCode: BAD,
    detailsCode: 'PROTOCOL_MISMATCH',
    closeCode: 1002,
    message: 'protocol mismatch',
  },
  'connect-repeated': {
    peerCode: BAD,
    detailsCode: null,
    closeCode: 1008,
    message: 'one connect per socket',
  },
  'token-mismatch': {
    peerCode: BAD,
    detailsCode: 'AUTH_TOKEN_MISMATCH',
    closeCode: 1008,
    message: 'gateway token mismatch',
    nextStep: 'retry_with_device_token',
  },
  'device-token-mismatch': {
    peerCode: BAD,
    detailsCode: 'AUTH_DEVICE_TOKEN_MISMATCH',
    closeCode: 1008,
    message: 'device token mismatch',
    nextStep: 'update_auth_credentials',
  },
  'join-code-invalid': {
    peerCode: BAD,
    detailsCode: 'AUTH_BOOTSTRAP_TOKEN_INVALID',
    closeCode: 1008,
    message: 'join code invalid',
  },
  'device-required': {
    peerCode: 'NOT_PAIRED',
    detailsCode: 'DEVICE_IDENTITY_REQUIRED',
    closeCode: 1008,
    message: 'device identity required',
  },
  'device-auth-invalid': {
    peerCode: BAD,
    detailsCode: 'DEVICE_AUTH_INVALID',
    closeCode: 1008,
    message: 'device proof invalid',
  },
  'public-key-invalid': {
    peerCode: BAD,
    detailsCode: 'DEVICE_AUTH_PUBLIC_KEY_INVALID',
    closeCode: 1008,
    message: 'device public key invalid',
  },
  'device-id-mismatch': {
    peerCode: BAD,
    detailsCode: 'DEVICE_AUTH_DEVICE_ID_MISMATCH',
    closeCode: 1008,
    message: 'device id is not the hash of its key',
  },
  'nonce-mismatch': {
    peerCode: BAD,
    detailsCode: 'DEVICE_AUTH_NONCE_MISMATCH',
    closeCode: 1008,
    message: 'nonce absent, foreign or used',
  },
  'signature-expired': {
    peerCode: BAD,
    detailsCode: 'DEVICE_AUTH_SIGNATURE_EXPIRED',
    closeCode: 1008,
    message: 'signature time outside the window: sign the time of the challenge',
  },
  'signature-invalid': {
    peerCode: BAD,
    detailsCode: 'DEVICE_AUTH_SIGNATURE_INVALID',
    closeCode: 1008,
    message: 'device signature invalid',
  },
  'proof-downgraded': {
    peerCode: BAD,
    detailsCode: 'DEVICE_AUTH_INVALID',
    closeCode: 1008,
    message: 'this device has proven itself by a stronger proof before',
  },
  'device-revoked': {
    peerCode: 'NOT_PAIRED',
    detailsCode: 'AUTH_UNAUTHORIZED',
    closeCode: 1008,
    message: 'device revoked',
  },
  'pairing-required': {
    peerCode: 'NOT_PAIRED',
    detailsCode: 'PAIRING_REQUIRED',
    closeCode: 1008,
    message: 'pairing required',
  },
  'requests-full': {
    peerCode: 'UNAVAILABLE',
    detailsCode: null,
    closeCode: 1013,
    message: 'too many open requests',
    nextStep: 'wait_then_retry',
    retryable: true,
  },
  'scopes-narrowed': {
    peerCode: 'NOT_PAIRED',
    detailsCode: 'AUTH_SCOPE_MISMATCH',
    closeCode: 4001,
    message: 'scopes narrowed',
  },
  'token-rotated': {
    peerCode: 'UNAVAILABLE',
    detailsCode: null,
    closeCode: 1012,
    message: 'gateway token rotated',
    nextStep: 'wait_then_retry',
    retryable: true,
  },
  'store-unavailable': {
    peerCode: 'UNAVAILABLE',
    detailsCode: null,
    closeCode: 1013,
    message: 'pairing store unavailable',
    nextStep: 'wait_then_retry',
    retryable: true,
  },
  'shutting-down': {
    peerCode: 'UNAVAILABLE',
    detailsCode: null,
    closeCode: 1012,
    message: 'gateway shutting down',
    nextStep: 'wait_then_retry',
    retryable: true,
  },
}

/** What only some peers are told. */
export interface AnswerContext {
  /** The rule that decided, as in {@link decide}. */
  readonly rule: string
  /** Command that cures it; for direct local peers only. */
  readonly command?: string
}

/** The answer to a peer, in the spelling that deployed clients act on (measured on OpenClaw 2026.9) beside our own. */
export function answerTo(refusal: Refusal, context: AnswerContext): PeerAnswer {
  const row = ROWS[refusal.code]
  const { code, ...facts } = refusal
  const details = {
    ...facts,
    ...(row.detailsCode !== null && { code: row.detailsCode }),
    refusal: code,
    rule: context.rule,
    ...(row.nextStep && { recommendedNextStep: row.nextStep }),
    ...(code === 'token-mismatch' && { canRetryWithDeviceToken: true }),
    ...(code === 'protocol-mismatch' && { expectedProtocol: PROTOCOL_RANGE.max }),
    ...(context.command !== undefined && { command: context.command }),
  }
  return {
    error: {
      code: row.peerCode,
      message: row.message,
      details,
      ...(row.retryable && { retryable: true }),
      ...(code === 'rate-limited' && { retryAfterMs: refusal.retryAfterMs }),
    },
    closeCode: row.closeCode,
    closeReason: row.message,
    retryable: row.retryable ?? false,
  }
}
