import type { EventFrame, PeerError, ResponseFrame } from '@holdfast/handshake'
import { plainText, shownText } from './internal/peer-text.ts'

/** What a gateway said when it said no. Every text of it is the gateway's: printable ASCII, bounded, and no more trusted. */
export interface PeerRefusal {
  /** The refusal in the words of `@holdfast/handshake` (`RefusalCode`); `null` from a gateway that is not ours. */
  readonly refusal: string | null
  /** The admission rule that decided; `null` from a gateway that is not ours. */
  readonly rule: string | null
  /** In OpenClaw's spelling, `PAIRING_REQUIRED` for one; `null` where the socket was closed without an answer. */
  readonly code: string | null
  /** For people. May be empty. */
  readonly reason: string
  /**
   * Does the gateway know this device, so that its key alone may do? Said of a gateway token that was refused; `null` of
   * anything else, and from a gateway that is not ours.
   */
  readonly deviceKnown: boolean | null
  /** The open request that a person can approve, or `null`. */
  readonly requestId: string | null
  /** What is wrong with the delegation that was shown, in the words of `@holdfast/handshake` (`DelegationGap`), or `null`. */
  readonly flaw: string | null
  /** The scopes that are missing: a person would have to give them, or whoever gave the delegation. */
  readonly missing: readonly string[]
  /** The command that cures it, as the gateway gives it to peers on its own machine, or `null`. Show it; never run it. */
  readonly command: string | null
  /** The close code that followed (RFC 6455 §7.4), or `null` where the socket was not closed in time or never opened. */
  readonly closeCode: number | null
  /** The HTTP status where the upgrade itself was refused, else `null`. */
  readonly status: number | null
  /** May the same wish pass later, by waiting alone? */
  readonly retryable: boolean
  /** How long the gateway asks to wait, in ms, or `null`. */
  readonly retryAfterMs: number | null
}

/** Close codes by which a gateway says: later. */
const LATER: ReadonlySet<number> = new Set([1012, 1013])

/** The refusal in an error response, and in the close that followed it. */
export function readPeerRefusal(error: PeerError, closeCode: number | null): PeerRefusal {
  const details = error.details ?? {}
  // Too slow for the gateway's patience: nothing was decided about this device.
  const tooSlow = details['refusal'] === 'handshake-timeout'
  const asksToWait = error.retryable ?? (tooSlow || error.code === 'UNAVAILABLE')
  const { retryAfterMs } = error
  return {
    refusal: plainText(details['refusal'], 64),
    rule: plainText(details['rule'], 8),
    code: plainText(details['code'], 64) ?? plainText(error.code, 64),
    reason: shownText(error.message, 200),
    deviceKnown: details['refusal'] === 'token-mismatch' ? details['deviceKnown'] === true : null,
    requestId: plainText(details['requestId'], 128),
    flaw: plainText(details['flaw'], 64),
    missing: Array.isArray(details['missing'])
      ? details['missing'].flatMap(scope => plainText(scope, 64) ?? []).slice(0, 32)
      : [],
    command: plainText(details['command'], 512),
    closeCode,
    status: null,
    retryable: asksToWait || (closeCode !== null && LATER.has(closeCode)),
    retryAfterMs: retryAfterMs !== undefined && retryAfterMs >= 0 ? retryAfterMs : null,
  }
}

/** The error by which a gateway says no: in the answer to the call of that id, or in the event for who has called nothing yet. */
export function readRefusalFrame(frame: ResponseFrame | EventFrame, callId: string): PeerError | null {
  if (frame.type === 'res') return frame.id === callId && !frame.ok ? frame.error : null
  if (frame.event !== 'connect.refused') return null
  const { code, message, details, retryable, retryAfterMs } = fieldsOf(fieldsOf(frame.payload)['error'])
  return {
    code: typeof code === 'string' ? code : 'UNKNOWN',
    message: typeof message === 'string' ? message : '',
    details: fieldsOf(details),
    ...(typeof retryable === 'boolean' && { retryable }),
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
  }
}

/** The refusal in a close code alone. */
export function refusalOfClose(closeCode: number, reason: string): PeerRefusal {
  return { ...SILENT, reason: shownText(reason, 123), closeCode }
}

/** The refusal in an HTTP answer instead of an upgrade: its status, and our gates' one word where the body has it. */
export function refusalOfStatus(status: number, body: string): PeerRefusal {
  const refusal = plainText(readBody(body)['refusal'], 64)
  const retryable = status === 429 || status === 503
  return { ...SILENT, refusal, reason: `HTTP ${status}`, status, retryable }
}

/** Was it the gateway token that was refused? */
export function isTokenMismatch(refusal: PeerRefusal): boolean {
  return refusal.refusal === 'token-mismatch' || refusal.code === 'AUTH_TOKEN_MISMATCH'
}

/** The join code is not good, or not any more. */
export function isJoinCodeInvalid(refusal: PeerRefusal): boolean {
  return refusal.refusal === 'join-code-invalid' || refusal.code === 'AUTH_BOOTSTRAP_TOKEN_INVALID'
}

/** What a person can do about it. */
export function adviceFor(refusal: PeerRefusal): string {
  if (refusal.command !== null) return `To allow it, run: ${refusal.command}`
  if (refusal.requestId !== null) {
    return `Ask whoever runs the gateway to approve request ${refusal.requestId}.`
  }
  if (isTokenMismatch(refusal))
    return "Give the token that the gateway has now, or none: a known device's key is enough."
  if (refusal.flaw !== null) {
    const more = refusal.missing.join(', ')
    return more === ''
      ? 'Have the parent start it anew.'
      : `Have the parent give it ${more}, or ask for less.`
  }
  if (refusal.refusal === 'device-revoked')
    return 'This device was revoked. Whoever runs the gateway can lift that: holdfast reinstate DEVICE'
  if (refusal.retryable) return 'Try again later.'
  return 'The gateway decided so; asking again changes nothing.'
}

const SILENT: PeerRefusal = {
  refusal: null,
  rule: null,
  code: null,
  reason: '',
  deviceKnown: null,
  requestId: null,
  flaw: null,
  missing: [],
  command: null,
  closeCode: null,
  status: null,
  retryable: false,
  retryAfterMs: null,
}

function readBody(body: string): Readonly<Record<string, unknown>> {
  try {
    return fieldsOf(JSON.parse(body))
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
