import {
  isVerifiedProof,
  type OpenClawProofFields,
  openClawProofBytes,
  SIGNED_AT_LIMIT_MS,
} from '@holdfast/handshake'
import { createEphemeralIdentity, identityFrom } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { CLIENT, connectFrame, NOW_MS, paramsOf, ROLES, verdictOn } from './connect-frame.ts'
import vectors from './vectors/openclaw-proof.json' with { type: 'json' }

const holder = identityFrom({ seed: vectors.seed })
const cases = vectors.cases as readonly (Omit<(typeof vectors.cases)[number], 'version'> & {
  version: 'v2' | 'v3'
})[]

function fieldsOf(vector: (typeof cases)[number]): OpenClawProofFields {
  const { token, deviceToken, bootstrapToken } = vector.auth
  const credential = token ?? deviceToken ?? bootstrapToken ?? ''
  return { ...vector, deviceId: vectors.deviceId, credential }
}

describe('F63: golden vectors of the signed strings', () => {
  test('the seed makes the key and the id', () => {
    expect(holder.id).toBe(vectors.deviceId)
    expect(String(holder.publicKey)).toBe(vectors.publicKey)
  })

  test.each(cases)('$name: the payload is exact', vector => {
    expect(new TextDecoder().decode(openClawProofBytes(vector.version, fieldsOf(vector)))).toBe(
      vector.payload,
    )
  })

  test.each(cases.filter(each => each.sayable))('$name: signs as given, and verifies', vector => {
    const { version, client, role, scopes, auth, signedAtMs, nonce, signature } = vector
    const frame = connectFrame({
      identity: holder,
      version,
      client,
      role,
      scopes,
      auth,
      ts: signedAtMs,
      nonce,
    })
    const params = paramsOf(frame)
    expect(params.device?.signature).toBe(signature)
    expect(verdictOn(params)).toMatchObject({ verdict: 'verified', proof: { family: `openclaw-${version}` } })
  })

  test.each(cases.filter(each => !each.sayable))('$name: is not signed', vector => {
    const { version, client, role, scopes, auth, signedAtMs, nonce } = vector
    expect(() =>
      connectFrame({ identity: holder, version, client, role, scopes, auth, ts: signedAtMs, nonce }),
    ).toThrow(expect.objectContaining({ code: 'WISH_INVALID' }))
  })
})

describe('what a verified proof carries', () => {
  test('F37: metadata in the form in which it was signed, so that LINUX and linux are one', () => {
    const identity = createEphemeralIdentity()
    const spellings = ['linux', ' LINUX ', 'Linux'].map(platform =>
      verdictOn(paramsOf(connectFrame({ identity, client: { platform, deviceFamily: null } }))),
    )
    for (const verdict of spellings) {
      expect(verdict).toEqual(spellings[0])
      expect(verdict).toMatchObject({ proof: { client: { platform: 'linux', deviceFamily: null } } })
    }
  })

  test('F37: two kinds of client of one identity are the same device', () => {
    const identity = createEphemeralIdentity()
    const kinds = [
      { platform: 'win32', deviceFamily: null },
      { platform: 'windows', deviceFamily: 'desktop' },
    ]
    for (const client of kinds) {
      const verdict = verdictOn(paramsOf(connectFrame({ identity, client })))
      expect(verdict).toMatchObject({ verdict: 'verified', proof: { deviceId: identity.id } })
    }
  })

  test('H13: nothing that v2 leaves unsigned', () => {
    const frame = connectFrame({ version: 'v2' })
    const changed = { ...frame.params, client: { ...(frame.params['client'] as object), platform: 'forged' } }
    const verdict = verdictOn(paramsOf({ ...frame, params: changed }))
    expect(verdict).toMatchObject({
      verdict: 'verified',
      proof: {
        family: 'openclaw-v2',
        client: { id: 'cli', mode: 'cli', platform: null, deviceFamily: null },
      },
    })
  })

  test('H13: under v3 a changed platform is a wrong signature', () => {
    const frame = connectFrame()
    const changed = { ...frame.params, client: { ...(frame.params['client'] as object), platform: 'forged' } }
    expect(verdictOn(paramsOf({ ...frame, params: changed }))).toEqual({ verdict: 'signature-invalid' })
  })

  test('scopes sorted, whatever the order in which they were signed', () => {
    const verdict = verdictOn(paramsOf(connectFrame({ scopes: ['operator.write', 'operator.read'] })))
    expect(verdict).toMatchObject({ proof: { wish: { scopes: ['operator.read', 'operator.write'] } } })
  })

  test('it is frozen, and only it is one: neither a copy nor something of its shape', () => {
    const verdict = verdictOn(paramsOf(connectFrame()))
    if (verdict.verdict !== 'verified') throw new Error(verdict.verdict)
    const { proof } = verdict
    expect(isVerifiedProof(proof)).toBe(true)
    expect(isVerifiedProof({ ...proof })).toBe(false)
    expect(isVerifiedProof(Object.create(proof))).toBe(false)
    expect(isVerifiedProof(null)).toBe(false)
    for (const part of [proof, proof.wish, proof.wish.scopes, proof.client])
      expect(Object.isFrozen(part)).toBe(true)
  })
})

describe('what is refused, in the order of the rules', () => {
  const change = (device: Record<string, unknown>) => {
    const frame = connectFrame()
    return paramsOf({
      ...frame,
      params: { ...frame.params, device: { ...(frame.params['device'] as object), ...device } },
    })
  }

  test('no device at all is absent', () => {
    const { device: _, ...rest } = connectFrame().params
    expect(verdictOn(paramsOf({ ...connectFrame(), params: rest }))).toEqual({ verdict: 'absent' })
  })

  // Small-order and non-canonical points by definition (RFC 8032 §5.1.3): y = 1, y = p + 1, y = 0, y = -1, x = 0 with sign.
  const P = 2n ** 255n - 19n
  const point = (y: bigint, sign = 0n) => {
    const hex = (y | (sign << 255n)).toString(16).padStart(64, '0')
    return Buffer.from(hex, 'hex').reverse().toString('base64url')
  }
  const keyless = {
    identity: point(1n),
    'p + 1': point(P + 1n),
    zero: point(0n),
    'p - 1': point(P - 1n),
    signed: point(1n, 1n),
  }

  test.each(Object.entries(keyless))('C14: the keyless device with y = %s', (_, publicKey) => {
    const signature = Buffer.concat([Buffer.from(point(1n), 'base64url'), Buffer.alloc(32)]).toString(
      'base64url',
    )
    expect(verdictOn(change({ publicKey, signature }))).toEqual({ verdict: 'public-key-invalid' })
  })

  const good = createEphemeralIdentity().publicKey.toString()
  test.each([
    ['padded', `${good}=`],
    ['31 bytes', Buffer.alloc(31, 7).toString('base64url')],
    ['empty', ''],
    ['blank', ` ${good}`],
    ['plain base64', Buffer.from(good, 'base64url').toString('base64')],
    ['__proto__', '__proto__'],
  ])('a key in another spelling: %s', (_, publicKey) => {
    expect(verdictOn(change({ publicKey }))).toEqual({ verdict: 'public-key-invalid' })
  })

  test('H10 F64: an id that is not the hash of the key cannot be claimed', () => {
    const mine = createEphemeralIdentity()
    const foreign = createEphemeralIdentity()
    const claims = [foreign.id, mine.id.toUpperCase(), '../../x', '__proto__', 'constructor', '']
    for (const id of claims) {
      expect(verdictOn(change({ id, publicKey: String(mine.publicKey) }))).toEqual({
        verdict: 'device-id-mismatch',
      })
    }
  })

  test("H10: a victim's key and id under a signature of one's own", () => {
    const victim = createEphemeralIdentity()
    expect(verdictOn(change({ id: victim.id, publicKey: String(victim.publicKey) }))).toEqual({
      verdict: 'signature-invalid',
    })
  })

  test('H8: a nonce that is absent, blank, foreign or used', () => {
    const params = paramsOf(connectFrame())
    expect(verdictOn(change({ nonce: undefined }))).toEqual({ verdict: 'nonce-mismatch' })
    expect(verdictOn(change({ nonce: '' }))).toEqual({ verdict: 'nonce-mismatch' })
    expect(verdictOn(params, { nonce: 'another-socket' })).toEqual({ verdict: 'nonce-mismatch' })
    expect(verdictOn(params, { nonce: null })).toEqual({ verdict: 'nonce-mismatch' })
    // The control: the same frame, on its own socket.
    expect(verdictOn(params).verdict).toBe('verified')
  })

  test('H8: a spent nonce is not matched by leaving it out, even where that was signed', () => {
    const { signedAtMs, ...rest } = {
      ...paramsOf(connectFrame({ identity: holder })).device,
      signedAtMs: NOW_MS,
    }
    const scopes = ['operator.read', 'operator.write']
    const credential = 'gateway-secret'
    const fields = { client: CLIENT, role: 'operator', scopes, signedAtMs, credential, nonce: '' }
    const bytes = openClawProofBytes('v3', { ...fields, deviceId: holder.id })
    const signature = Buffer.from(holder.sign(bytes)).toString('base64url')
    const params = change({ ...rest, signedAt: signedAtMs, signature, nonce: undefined })
    expect(verdictOn(params, { nonce: null })).toEqual({ verdict: 'nonce-mismatch' })
  })

  test('H9: a time one millisecond outside the window, with delta and limit', () => {
    const limitMs = SIGNED_AT_LIMIT_MS
    for (const sign of [1, -1]) {
      const at = verdictOn(paramsOf(connectFrame()), { nowMs: NOW_MS - sign * limitMs })
      expect(at.verdict).toBe('verified')
      const beyond = verdictOn(paramsOf(connectFrame()), { nowMs: NOW_MS - sign * (limitMs + 1) })
      expect(beyond).toEqual({ verdict: 'signature-expired', deltaMs: sign * (limitMs + 1), limitMs })
    }
  })

  test("F38: a client's wrong clock does not matter, since it signs the time of the challenge", () => {
    // The signer takes no clock: whatever the client's says, `signedAt` is the challenge's.
    for (const skewMs of [-600_000, 0, 600_000]) {
      const gatewayNowMs = NOW_MS + skewMs
      const params = paramsOf(connectFrame({ ts: gatewayNowMs }))
      expect(verdictOn(params, { nowMs: gatewayNowMs }).verdict).toBe('verified')
    }
  })

  test('H12: S + L, 63 bytes, 65 bytes, nothing, and a spelling with stray bits', () => {
    const params = paramsOf(connectFrame())
    const signature = Buffer.from(params.device?.signature ?? '', 'base64url')
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order
    const grown = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
    const malleable = Buffer.concat([signature.subarray(0, 32), grown])
    // The last of 86 characters carries four unused bits: A, Q, g or w where they are zero.
    const stray = signature
      .toString('base64url')
      .replace(/.$/, last => String.fromCharCode(last.charCodeAt(0) + 1))
    const spellings = [
      malleable.toString('base64url'),
      signature.subarray(0, 63).toString('base64url'),
      Buffer.concat([signature, Buffer.alloc(1)]).toString('base64url'),
      '',
      ` ${signature.toString('base64url')}`,
      `${signature.toString('base64url')}=`,
      signature.toString('hex'),
      stray,
    ]
    for (const spelling of spellings) {
      const device = params.device && { ...params.device, signature: spelling }
      expect(verdictOn({ ...params, device }), spelling).toEqual({ verdict: 'signature-invalid' })
    }
  })

  test('a signature in padded base64url or in base64 is the same signature', () => {
    const params = paramsOf(connectFrame())
    const signature = Buffer.from(params.device?.signature ?? '', 'base64url')
    for (const spelling of [`${signature.toString('base64url')}==`, signature.toString('base64')]) {
      const device = params.device && { ...params.device, signature: spelling }
      expect(verdictOn({ ...params, device }).verdict).toBe('verified')
    }
  })

  test('a wish that the table does not know is a mistake of the caller', () => {
    expect(() => verdictOn({ ...paramsOf(connectFrame()), role: 'admin' })).toThrow(TypeError)
    expect(ROLES.closures.size).toBe(2)
  })
})
