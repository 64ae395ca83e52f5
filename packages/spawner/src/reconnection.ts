import { isSpawnerError, type SpawnerError } from './errors.ts'
import { isJoinCodeInvalid, isTokenMismatch, type PeerRefusal } from './peer-refusal.ts'

/** Which credential the next attempt shows: the token as it is now, that for the last time, or the device's key alone. */
export type TokenPhase = 'token' | 'token-once-more' | 'key-alone'

/** What the judgement of a failed attempt depends on, beside the failure. */
export interface AttemptFacts {
  readonly phase: TokenPhase
  /** Where the token of this attempt came from; `none`: none was shown. */
  readonly token: 'file' | 'option' | 'join-code' | 'none'
  /** Who named the address. A note can be stale, so that a stranger at its address is a reason to wait. */
  readonly source: 'note' | 'option'
  /**
   * Which string was signed: the present one; the same, at a gateway that has taken it before; or the one of OpenClaw
   * 2026.2, after the present one was refused. Under `holdfast/1` there is no other, whatever the answer.
   */
  readonly proof: 'v3' | 'v3-known' | 'v2' | 'holdfast/1'
}

/** What to do after a failed attempt. */
export type NextStep =
  | { readonly step: 'stop' }
  /** Wait, at least so long, and try again. `for`: a gateway that is not there, or one that is, and has too much to do. */
  | { readonly step: 'wait'; readonly atLeastMs: number; readonly for: keyof Patience }
  /** Try again with another credential. */
  | { readonly step: 'retry'; readonly phase: TokenPhase }
  /** Try again with the older string, once and for all. */
  | { readonly step: 'retry-v2' }

/** How long to go on trying, in ms: for a gateway that is not there, and for one that is, and has too much to do. */
export interface Patience {
  readonly absent: number
  readonly busy: number
}

/**
 * For a first connection. Where a hundred children start at once on a small machine, the gateway is busy with them for
 * longer than anybody would wait for one that may never come.
 */
export function patienceToConnect(plan: { readonly connectTimeoutMs: number }): Patience {
  return { absent: plan.connectTimeoutMs, busy: plan.connectTimeoutMs * 4 }
}

/** For coming back after a lost socket: as long as the caller said, whatever keeps the gateway. */
export function patienceToComeBack(plan: { readonly reconnectTimeoutMs: number }): Patience {
  return { absent: plan.reconnectTimeoutMs, busy: plan.reconnectTimeoutMs }
}

/** A live socket closed so will not be let in again: refused by policy, or its device was removed or revoked. */
export function isFinalClose(closeCode: number): boolean {
  return closeCode === 1008 || closeCode === 4001
}

/** Close codes before hello that can pass by waiting: going away, lost, no reason given, broken, restarting, full. */
const PASSING_CLOSES: ReadonlySet<number> = new Set([1000, 1001, 1005, 1006, 1011, 1012, 1013, 1014])

/** Failures of a certificate are decisions, not weather: they carry OpenSSL's names, or Node's for TLS. */
const CERTIFICATE_ERRNO = /CERT|ERR_TLS|ERR_SSL|SELF_SIGNED|UNABLE_TO_|CRL_|HOSTNAME_MISMATCH/

/**
 * What comes after a failed attempt. A refused gateway token costs three attempts at most: the token, the token as it is
 * then, the key alone where the gateway may know the device. A refused string costs one more.
 */
export function nextStep(error: SpawnerError, facts: AttemptFacts): NextStep {
  if (isSpawnerError(error, 'ADMISSION_REFUSED')) {
    if (facts.token !== 'none' && isTokenMismatch(error.detail)) {
      if (facts.token === 'file' && facts.phase === 'token')
        return { step: 'retry', phase: 'token-once-more' }
      // The key of a stranger would open a request, and a person would be asked because of a wrong token.
      return error.detail.deviceKnown === false ? STOP : { step: 'retry', phase: 'key-alone' }
    }
    if (facts.token === 'join-code' && isJoinCodeInvalid(error.detail)) {
      return { step: 'retry', phase: 'key-alone' }
    }
    if (facts.proof === 'v3' && facts.source === 'option' && mayBeOlder(error.detail)) return RETRY_V2
    const { retryable, retryAfterMs, refusal } = error.detail
    const isBusy = refusal === 'handshake-timeout' || refusal === 'sockets-full'
    return retryable ? waiting(isBusy ? 'busy' : 'absent', retryAfterMs ?? 0) : STOP
  }
  if (isSpawnerError(error, 'HANDSHAKE_TIMEOUT')) return waiting('busy')
  return passesByWaiting(error, facts.source) ? waiting('absent') : STOP
}

function waiting(what: keyof Patience, atLeastMs = 0): NextStep {
  return { step: 'wait', atLeastMs, for: what }
}

const STOP: NextStep = { step: 'stop' }
const RETRY_V2: NextStep = { step: 'retry-v2' }

/**
 * May it be OpenClaw 2026.2, which knows only the older string and has no code of its own for a signature that it cannot
 * check? A gateway of ours gives a refusal, and knows both.
 */
function mayBeOlder({ refusal, code, requestId }: PeerRefusal): boolean {
  if (refusal !== null || requestId !== null) return false
  return code === 'DEVICE_AUTH_SIGNATURE_INVALID' || code === 'INVALID_REQUEST'
}

function passesByWaiting(error: SpawnerError, source: 'note' | 'option'): boolean {
  if (isSpawnerError(error, 'GATEWAY_NOT_FOUND')) return true
  if (isSpawnerError(error, 'GATEWAY_UNREACHABLE')) return !CERTIFICATE_ERRNO.test(error.detail.errno)
  if (isSpawnerError(error, 'GATEWAY_HUNG_UP')) return PASSING_CLOSES.has(error.detail.closeCode)
  if (isSpawnerError(error, 'PROTOCOL_UNEXPECTED') || isSpawnerError(error, 'GATEWAY_UNPROVEN'))
    return source === 'note'
  return false
}

/**
 * How long to wait before another attempt, in ms: doubling from 50 to 2,000, times a random factor from 0.5 to 1.5, so
 * that a thousand children do not come back in step.
 *
 * @param failures how many attempts have failed since the last good one, from 0
 * @param random from 0 to 1
 */
export function backoffMs(failures: number, random: number): number {
  return Math.min(2_000, 50 * 2 ** Math.min(failures, 10)) * (0.5 + random)
}
