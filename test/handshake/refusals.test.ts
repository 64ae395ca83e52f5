import {
  answerTo,
  CUT_CLOSE_CODE,
  type PeerAnswer,
  type Refusal,
  type RefusalCode,
  type Scope,
} from '@holdfast/handshake'
import { describe, expect, test } from 'vitest'

type Samples = { readonly [C in RefusalCode]: Extract<Refusal, { readonly code: C }> }

/** One of each: a new code does not compile until it is here. */
const SAMPLES: Samples = {
  'handshake-timeout': { code: 'handshake-timeout', limitMs: 5_000 },
  'sockets-full': { code: 'sockets-full' },
  'rate-limited': { code: 'rate-limited', retryAfterMs: 1_500 },
  'frame-too-large': { code: 'frame-too-large', limitBytes: 16_384 },
  'host-rejected': { code: 'host-rejected' },
  'origin-rejected': { code: 'origin-rejected' },
  'proxy-unattributed': { code: 'proxy-unattributed', header: 'via' },
  malformed: { code: 'malformed', problem: { kind: 'field', field: 'params.role', problem: 'invalid' } },
  'wish-unknown': { code: 'wish-unknown' },
  'protocol-mismatch': { code: 'protocol-mismatch' },
  'connect-repeated': { code: 'connect-repeated' },
  'token-mismatch': { code: 'token-mismatch' },
  'device-token-mismatch': { code: 'device-token-mismatch' },
  'join-code-invalid': { code: 'join-code-invalid' },
  'delegation-insufficient': { code: 'delegation-insufficient', flaw: 'expired', link: 1, missing: [] },
  'delegation-expired': { code: 'delegation-expired' },
  'delegation-revoked': { code: 'delegation-revoked' },
  'delegation-full': { code: 'delegation-full', cap: 'children', link: 1 },
  'device-required': { code: 'device-required' },
  'device-auth-invalid': { code: 'device-auth-invalid' },
  'public-key-invalid': { code: 'public-key-invalid' },
  'device-id-mismatch': { code: 'device-id-mismatch' },
  'nonce-mismatch': { code: 'nonce-mismatch' },
  'signature-expired': { code: 'signature-expired', deltaMs: -130_000, limitMs: 120_000 },
  'gateway-mismatch': { code: 'gateway-mismatch' },
  'address-mismatch': { code: 'address-mismatch', dialled: '203.0.113.9:443' },
  'signature-invalid': { code: 'signature-invalid' },
  'proof-downgraded': { code: 'proof-downgraded' },
  'device-revoked': { code: 'device-revoked' },
  'pairing-required': {
    code: 'pairing-required',
    requestId: '6f1c2a34-8d5e-4b7a-9c01-23456789abcd',
    missing: ['operator.admin' as Scope],
    reason: 'scope-upgrade',
    expiresAtMs: 1,
  },
  'requests-full': { code: 'requests-full', cap: 'source' },
  'scopes-narrowed': { code: 'scopes-narrowed' },
  'token-rotated': { code: 'token-rotated' },
  'store-unavailable': { code: 'store-unavailable' },
  'shutting-down': { code: 'shutting-down' },
}

const answers: readonly (readonly [RefusalCode, PeerAnswer])[] = Object.values(SAMPLES).map(refusal => [
  refusal.code,
  answerTo(refusal, { rule: '12' }),
])

describe('every refusal', () => {
  test.each(answers)(
    '%s reaches the peer with code, message, rule and a reason that fits a close frame',
    (code, answer) => {
      expect(answer.error.code).toMatch(/^[A-Z_]+$/)
      expect(answer.error.message).not.toBe('')
      expect(answer.error.details).toMatchObject({ refusal: code, rule: '12' })
      expect(answer.closeReason).toMatch(/^[\x20-\x7e]{1,123}$/)
      expect([1002, 1008, 1009, 1012, 1013, CUT_CLOSE_CODE]).toContain(answer.closeCode)
      expect(JSON.parse(JSON.stringify(answer))).toEqual(answer)
    },
  )

  test.each(answers)('%s says alike in every place whether waiting helps', (_, answer) => {
    expect(answer.error.retryable ?? false).toBe(answer.retryable)
    expect(answer.error.details?.['recommendedNextStep'] === 'wait_then_retry').toBe(answer.retryable)
    expect([1012, 1013].includes(answer.closeCode)).toBe(answer.retryable)
  })
})

describe('what deployed clients act on, as measured', () => {
  test.each<[RefusalCode, number, string, string | undefined]>([
    ['malformed', 1008, 'INVALID_REQUEST', undefined],
    ['wish-unknown', 1008, 'INVALID_REQUEST', 'AUTH_SCOPE_MISMATCH'],
    ['device-revoked', 1008, 'NOT_PAIRED', 'AUTH_SCOPE_MISMATCH'],
    ['frame-too-large', 1009, 'INVALID_REQUEST', undefined],
    ['protocol-mismatch', 1002, 'INVALID_REQUEST', 'PROTOCOL_MISMATCH'],
    ['origin-rejected', 1008, 'INVALID_REQUEST', 'CONTROL_UI_ORIGIN_NOT_ALLOWED'],
    ['token-mismatch', 1008, 'INVALID_REQUEST', 'AUTH_TOKEN_MISMATCH'],
    ['device-token-mismatch', 1008, 'INVALID_REQUEST', 'AUTH_DEVICE_TOKEN_MISMATCH'],
    ['device-required', 1008, 'NOT_PAIRED', 'DEVICE_IDENTITY_REQUIRED'],
    ['device-id-mismatch', 1008, 'INVALID_REQUEST', 'DEVICE_AUTH_DEVICE_ID_MISMATCH'],
    ['nonce-mismatch', 1008, 'INVALID_REQUEST', 'DEVICE_AUTH_NONCE_MISMATCH'],
    ['signature-expired', 1008, 'INVALID_REQUEST', 'DEVICE_AUTH_SIGNATURE_EXPIRED'],
    ['signature-invalid', 1008, 'INVALID_REQUEST', 'DEVICE_AUTH_SIGNATURE_INVALID'],
    ['pairing-required', 1008, 'NOT_PAIRED', 'PAIRING_REQUIRED'],
    ['rate-limited', 1013, 'UNAVAILABLE', 'AUTH_RATE_LIMITED'],
    ['scopes-narrowed', 4001, 'NOT_PAIRED', 'AUTH_SCOPE_MISMATCH'],
    ['token-rotated', 1012, 'UNAVAILABLE', undefined],
  ])('%s is close %i, %s, details %s', (code, closeCode, peerCode, detailsCode) => {
    const answer = answerTo(SAMPLES[code], { rule: '2' })
    expect([answer.closeCode, answer.error.code, answer.error.details?.['code']]).toEqual([
      closeCode,
      peerCode,
      detailsCode,
    ])
  })

  test('a wrong gateway token may be tried again with the device token', () => {
    const details = answerTo(SAMPLES['token-mismatch'], { rule: '3' }).error.details
    expect(details).toMatchObject({
      canRetryWithDeviceToken: true,
      recommendedNextStep: 'retry_with_device_token',
    })
    expect(answerTo(SAMPLES['device-token-mismatch'], { rule: '3' }).error.details).not.toHaveProperty(
      'canRetryWithDeviceToken',
    )
  })

  test('F38: an expired signature carries delta and limit', () => {
    const { details } = answerTo(SAMPLES['signature-expired'], { rule: '6' }).error
    expect(details).toMatchObject({ deltaMs: -130_000, limitMs: 120_000 })
  })

  test('C2: a wish beyond the ceiling carries request, missing scopes and reason; the command only where it is given', () => {
    const remote = answerTo(SAMPLES['pairing-required'], { rule: '12' }).error.details
    expect(remote).toMatchObject({ ...SAMPLES['pairing-required'], code: 'PAIRING_REQUIRED' })
    expect(remote).not.toHaveProperty('command')
    const local = answerTo(SAMPLES['pairing-required'], { rule: '12', command: 'holdfast approve X' }).error
      .details
    expect(local).toMatchObject({ command: 'holdfast approve X' })
  })

  test('a protocol mismatch says what is spoken, a rate limit how long to wait', () => {
    expect(answerTo(SAMPLES['protocol-mismatch'], { rule: '2' }).error.details).toMatchObject({
      expectedProtocol: 4,
    })
    expect(answerTo(SAMPLES['rate-limited'], { rule: '0' }).error.retryAfterMs).toBe(1_500)
  })
})
