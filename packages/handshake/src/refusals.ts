import type { FrameProblem } from './codec.ts'
import type { DelegationFlaw } from './delegation.ts'
import { type PeerError, PROTOCOL_RANGE } from './messages.ts'
import type { Scope } from './scopes.ts'

/** Why a wish needs a person, in OpenClaw's words. */
export type PairingReason = 'not-paired' | 'role-upgrade' | 'scope-upgrade'

/** Why a delegation does not do: what is wrong with the chain, or what was asked for beyond it. */
export type DelegationGap =
  | DelegationFlaw
  | 'role-missing'
  | 'scopes-missing'
  /** The device that it stems from has less by now, or from there. */
  | 'device-insufficient'

/** Which bound on open requests was met. */
export type RequestCap = 'device-role' | 'source' | 'total'

/**
 * The machine-readable reason that a peer is told: everything a gate can refuse with, and the facts of each. Whatever stands
 * here reaches the peer, so nothing secret does.
 */
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
  /** `deviceKnown`: the proof is good and its device is known, so that its key alone may do. Nobody else is told anything. */
  | { readonly code: 'token-mismatch'; readonly deviceKnown?: true }
  | { readonly code: 'device-token-mismatch' }
  | { readonly code: 'join-code-invalid' }
  /** `link`: which of the chain, from 1; 0 where it is the chain as a whole, or the device that it stems from. */
  | {
      readonly code: 'delegation-insufficient'
      readonly flaw: DelegationGap
      readonly link: number
      readonly missing: readonly Scope[]
    }
  // Rules 4 to 7a
  | { readonly code: 'device-required' }
  | { readonly code: 'device-auth-invalid' }
  | { readonly code: 'public-key-invalid' }
  | { readonly code: 'device-id-mismatch' }
  | { readonly code: 'nonce-mismatch' }
  | { readonly code: 'signature-expired'; readonly deltaMs: number; readonly limitMs: number }
  | { readonly code: 'gateway-mismatch' }
  | { readonly code: 'address-mismatch'; readonly dialled: string }
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
  | { readonly code: 'delegation-expired' }
  | { readonly code: 'delegation-revoked' }
  /** So many children, or connections, as a link allows. */
  | { readonly code: 'delegation-full'; readonly cap: 'children' | 'connections'; readonly link: number }
  // Inability of the gateway: it refuses rather than guess
  | { readonly code: 'store-unavailable' }
  | { readonly code: 'shutting-down' }

export type RefusalCode = Refusal['code']

/** The close code of a *live* socket whose device was removed or revoked, in place of 1008: final, clients do not retry. */
export const CUT_CLOSE_CODE = 4001

/** How a refusal reaches the peer: the error of the response, then the close of the socket (before the upgrade: only HTTP). */
export interface PeerAnswer {
  readonly error: PeerError
  /** RFC 6455 §7.4; 4001 is of the range for applications. */
  readonly closeCode: number
  /** ASCII, at most 123 bytes (RFC 6455 §5.5.1). */
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
  readonly nextStep?:
    | 'retry_with_device_token'
    | 'update_auth_credentials'
    | 'review_auth_configuration'
    | 'wait_then_retry'
  readonly retryable?: true
}

/** The peer sent something that will not do, whatever the pairing. */
const invalid = (detailsCode: string | null, message: string, more: Partial<Row> = {}): Row => ({
  peerCode: 'INVALID_REQUEST',
  detailsCode,
  closeCode: 1008,
  message,
  ...more,
})

/** The peer is well formed but not let in. */
const notPaired = (detailsCode: string, message: string, more: Partial<Row> = {}): Row => ({
  ...invalid(detailsCode, message, more),
  peerCode: 'NOT_PAIRED',
})

/** Waiting may cure it. 1013 is "try again later", 1012 "service restart" (IANA WebSocket Close Code registry). */
const later = (closeCode: 1012 | 1013, detailsCode: string | null, message: string): Row => ({
  peerCode: 'UNAVAILABLE',
  detailsCode,
  closeCode,
  message,
  nextStep: 'wait_then_retry',
  retryable: true,
})

// OpenClaw's clients go on for ever after a code that their closed list of final ones does not have: `AUTH_UNAUTHORIZED` for
// one. So whatever waiting cannot cure is told by one of that list; `AUTH_SCOPE_MISMATCH` makes them pause and keep their token.
const ROWS: Readonly<Record<RefusalCode, Row>> = {
  'handshake-timeout': invalid(null, 'no connect in time'),
  'sockets-full': later(1013, null, 'too many sockets'),
  'rate-limited': later(1013, 'AUTH_RATE_LIMITED', 'too many wrong credentials'),
  'frame-too-large': invalid(null, 'frame too large', { closeCode: 1009 }),

  'host-rejected': invalid(null, 'host not allowed'),
  'origin-rejected': invalid('CONTROL_UI_ORIGIN_NOT_ALLOWED', 'origin not allowed'),
  'proxy-unattributed': invalid(
    'AUTH_IDENTITY_HEADER_REQUIRED',
    'forwarding header without a configured proxy',
  ),

  malformed: invalid(null, 'invalid connect'),
  'wish-unknown': invalid('AUTH_SCOPE_MISMATCH', 'unknown role or scope', {
    nextStep: 'review_auth_configuration',
  }),
  'protocol-mismatch': invalid('PROTOCOL_MISMATCH', 'protocol mismatch', { closeCode: 1002 }),
  'connect-repeated': invalid(null, 'one connect per socket'),

  'token-mismatch': invalid('AUTH_TOKEN_MISMATCH', 'gateway token mismatch', {
    nextStep: 'retry_with_device_token',
  }),
  'device-token-mismatch': invalid('AUTH_DEVICE_TOKEN_MISMATCH', 'device token mismatch', {
    nextStep: 'update_auth_credentials',
  }),
  'join-code-invalid': invalid('AUTH_BOOTSTRAP_TOKEN_INVALID', 'join code invalid'),
  'delegation-insufficient': notPaired('AUTH_SCOPE_MISMATCH', 'delegation insufficient'),

  'device-required': notPaired('DEVICE_IDENTITY_REQUIRED', 'device identity required'),
  'device-auth-invalid': invalid('DEVICE_AUTH_INVALID', 'device proof invalid'),
  'public-key-invalid': invalid('DEVICE_AUTH_PUBLIC_KEY_INVALID', 'device public key invalid'),
  'device-id-mismatch': invalid('DEVICE_AUTH_DEVICE_ID_MISMATCH', 'device id is not the hash of its key'),
  'nonce-mismatch': invalid('DEVICE_AUTH_NONCE_MISMATCH', 'nonce absent, foreign or used'),
  'signature-expired': invalid(
    'DEVICE_AUTH_SIGNATURE_EXPIRED',
    'signature time outside the window: sign the time of the challenge',
  ),
  'gateway-mismatch': invalid('DEVICE_AUTH_INVALID', 'this proof is for another gateway'),
  'address-mismatch': invalid(
    'DEVICE_AUTH_INVALID',
    'the address that was dialled is none of this gateway: have it named in publicAddresses',
  ),
  'signature-invalid': invalid('DEVICE_AUTH_SIGNATURE_INVALID', 'device signature invalid'),
  'proof-downgraded': invalid(
    'DEVICE_AUTH_INVALID',
    'this device has proven itself by a stronger proof before',
  ),

  'device-revoked': notPaired('AUTH_SCOPE_MISMATCH', 'device revoked', {
    nextStep: 'review_auth_configuration',
  }),
  'pairing-required': notPaired('PAIRING_REQUIRED', 'pairing required'),
  'requests-full': later(1013, null, 'too many open requests'),

  'scopes-narrowed': notPaired('AUTH_SCOPE_MISMATCH', 'scopes narrowed', { closeCode: CUT_CLOSE_CODE }),
  'token-rotated': later(1012, null, 'gateway token rotated'),
  'delegation-expired': later(1012, null, 'delegation expired'),
  'delegation-revoked': notPaired('AUTH_SCOPE_MISMATCH', 'delegation revoked', { closeCode: CUT_CLOSE_CODE }),
  'delegation-full': later(1013, null, 'too many children or connections of a delegation'),

  'store-unavailable': later(1013, null, 'pairing store unavailable'),
  'shutting-down': later(1012, null, 'gateway shutting down'),
}

/** What only some peers are told. */
export interface AnswerContext {
  /** The rule that decided, as in {@link decide}. */
  readonly rule: string
  /** The command line that cures it; for direct local peers only. */
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
