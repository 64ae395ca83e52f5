import { readFileSync } from 'node:fs'
import {
  type DelegationFlaw,
  delegate,
  idsIn,
  isHandshakeError,
  isVerifiedDelegation,
  isVerifiedProof,
  MAX_DELEGATION_TTL_MS,
  rootOf,
  verifyDelegation,
} from '@holdfast/handshake'
import {
  createEphemeralIdentity,
  deviceIdOf,
  formatPublicKey,
  identityFrom,
  parseDeviceId,
  parsePublicKey,
} from '@holdfast/identity'
import { importJWK, jwtVerify, SignJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { chainOf, GATEWAY, look, NOW_MS, ROLES, resigned } from './chains.ts'

const flawed = (flaw: DelegationFlaw, link: number) => ({ verdict: 'flawed', flaw, link })

describe('a chain that is whole', () => {
  test('is verified link by link, and says who holds what, until when', () => {
    const made = chainOf(
      { scopes: ['operator.write', 'operator.approvals'], caveats: { connections: 5 } },
      { scopes: ['operator.write'], ttlMs: 30_000, caveats: { calls: ['health', 'agent.run'] } },
      { scopes: ['operator.read'], ttlMs: 30_000, caveats: { calls: ['health'] } },
    )
    const answer = look(made)
    if (answer.verdict !== 'verified') throw new Error(answer.flaw)
    const { delegation } = answer
    expect(delegation).toMatchObject({
      root: made.root.id,
      role: 'operator',
      expiresAtMs: NOW_MS + 30_000,
      calls: ['health'],
      links: [
        { holderId: made.holders[0]?.id, scopes: ['operator.approvals', 'operator.write'], depth: 2 },
        { holderId: made.holders[1]?.id, scopes: ['operator.write'], depth: 1 },
        { holderId: made.last.id, scopes: ['operator.read'], depth: 0, expiresAtMs: NOW_MS + 30_000 },
      ],
    })
    expect(isVerifiedDelegation(delegation)).toBe(true)
    expect(isVerifiedDelegation({ ...delegation })).toBe(false)
    expect(isVerifiedProof(delegation)).toBe(false)
    expect(() => Object.assign(delegation, { root: made.last.id })).toThrow(TypeError)
    expect(rootOf(made.chain)).toBe(made.root.id)
    expect(idsIn(made.chain)).toEqual(delegation.links.flatMap(each => [each.delegationId, each.holderId]))
  })

  test('is good from a minute before its beginning, for clocks that differ, to its end and no longer', () => {
    const made = chainOf({ ttlMs: 10_000 })
    expect(look(made, { nowMs: NOW_MS - 60_000 }).verdict).toBe('verified')
    expect(look(made, { nowMs: NOW_MS - 60_001 })).toEqual(flawed('not-yet-valid', 1))
    expect(look(made, { nowMs: NOW_MS + 9_999 }).verdict).toBe('verified')
    expect(look(made, { nowMs: NOW_MS + 10_000 })).toEqual(flawed('expired', 1))
  })
})

describe('a chain that is not', () => {
  const stranger = createEphemeralIdentity()
  const long = [{}, {}, {}] as const
  const cases: readonly [string, DelegationFlaw, number, () => ReturnType<typeof look>][] = [
    ['empty', 'chain-length', 0, () => look(chainOf({}), {}, [])],
    ['of five links', 'chain-length', 0, () => look(chainOf({}), {}, Array(5).fill('x'))],
    ['too large', 'chain-too-large', 0, () => look(chainOf({}), {}, ['x'.repeat(12_289)])],
    ['no JWS', 'malformed', 1, () => look(chainOf({}), {}, ['a.b'])],
    [
      'for another gateway: a replay there',
      'audience-mismatch',
      1,
      () => look(chainOf({}), { gatewayId: stranger.id }),
    ],
    ['of a device that the store does not know', 'root-unknown', 1, () => look(chainOf({}), { root: null })],
    ['another device’s than it says', 'issuer-mismatch', 1, () => look(chainOf({}), { root: stranger })],
    ['shown by another key', 'holder-mismatch', 1, () => look(chainOf({}), { holder: stranger })],
    [
      'cut short, by the child',
      'holder-mismatch',
      2,
      () => {
        const made = chainOf(...long)
        return look(made, {}, made.chain.slice(0, 2))
      },
    ],
    [
      'revoked by the id of a link',
      'revoked',
      2,
      () => {
        const made = chainOf(...long)
        return look(made, { revoked: idsIn(made.chain).slice(2, 3) })
      },
    ],
    [
      'revoked by the key of a holder',
      'revoked',
      1,
      () => {
        const made = chainOf(...long)
        return look(made, { revoked: [made.holders[0]?.id ?? ''] })
      },
    ],
  ]
  test.each(cases)('%s: %s', (_, flaw, link, answer) => {
    expect(answer()).toEqual(flawed(flaw, link))
  })

  type Change = (payload: Record<string, unknown>) => void
  const set =
    (fields: Readonly<Record<string, unknown>>): Change =>
    payload =>
      void Object.assign(payload, fields)
  /** Signed anew by the very key that may sign: only what the link says is wrong. */
  const signedAnew: readonly [string, DelegationFlaw, Change][] = [
    ['widened scopes', 'scopes-widened', set({ scope: 'operator.admin' })],
    ['a scope that no table knows', 'scopes-widened', set({ scope: 'operator.unheard' })],
    ['another role', 'role-changed', set({ role: 'node', scope: '' })],
    ['a longer life', 'expiry-widened', set({ exp: NOW_MS / 1_000 + 61 })],
    ['more connections', 'caveats-widened', set({ connections: 3 })],
    ['calls that the link before has not', 'caveats-widened', set({ calls: ['health', 'wipe'] })],
    ['more depth than is left', 'too-deep', set({ depth: 1 })],
    ['a life of more than a day', 'lifetime-too-long', set({ nbf: NOW_MS / 1_000 - 86_400 })],
    ['a blank too many', 'malformed', set({ scope: 'operator.read ' })],
    ['unsorted scopes', 'malformed', set({ scope: 'operator.write operator.read' })],
    ['a claim that nobody knows', 'malformed', set({ sub: 'x' })],
    [
      'a key of small order',
      'holder-invalid',
      set({ cnf: { jwk: { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) } } }),
    ],
    ['a time that is text', 'malformed', set({ exp: '1' })],
  ]
  test.each(signedAnew)('widened or misspelt: %s', (_, flaw, change) => {
    const made = chainOf({ depth: 1, caveats: { connections: 2, calls: ['health'] } }, { ttlMs: 60_000 })
    const [first = '', second = ''] = made.chain
    const answer = look(made, {}, [first, resigned(second, made.holders[0] ?? null, change)])
    expect(answer).toEqual(flawed(flaw, 2))
    // Negative control: signed anew and unchanged, it is good.
    const unchanged = [first, resigned(second, made.holders[0] ?? null, () => undefined)]
    expect(look(made, {}, unchanged).verdict).toBe('verified')
  })

  test('forged: changed after it was signed, or signed by the wrong key', () => {
    const made = chainOf({})
    const [link = ''] = made.chain
    const wider = set({ scope: 'operator.admin' })
    expect(look(made, {}, [resigned(link, null, wider)])).toEqual(flawed('signature-invalid', 1))
    expect(look(made, {}, [resigned(link, stranger, wider)])).toEqual(flawed('signature-invalid', 1))
    expect(look(made, {}, [resigned(link, made.last, wider)])).toEqual(flawed('signature-invalid', 1))
  })

  test('spliced: a link of another chain of the same device, and of another device', () => {
    const made = chainOf({}, {})
    const other = chainOf({}, {})
    const [own = '', ownSecond = ''] = made.chain
    const [foreign = '', foreignSecond = ''] = other.chain
    expect(look(made, {}, [foreign, ownSecond])).toEqual(flawed('issuer-mismatch', 1))
    expect(look(other, { root: made.root }, [own, foreignSecond])).toEqual(flawed('issuer-mismatch', 2))
  })

  test('over-deep: who was given nothing to pass on cannot, and a chain that says so is refused', () => {
    const made = chainOf({ depth: 0 })
    const holder = createEphemeralIdentity()
    const more = {
      holder: holder.publicKey,
      gatewayId: GATEWAY,
      role: 'operator',
      scopes: [],
      nowMs: NOW_MS,
      ttlMs: 1,
    }
    expect(() => delegate({ ...more, issuer: made.last, chain: made.chain })).toThrow(/DELEGATION_INVALID/)
    const deep = chainOf({ depth: 1 }, {})
    const [first = '', second = ''] = deep.chain
    const flat = resigned(first, deep.root, set({ depth: 0 }))
    expect(look(deep, {}, [flat, second])).toEqual(flawed('too-deep', 2))
  })

  const headers: readonly [string, DelegationFlaw, Readonly<Record<string, unknown>>][] = [
    ['no algorithm', 'algorithm-foreign', { alg: 'none', typ: 'holdfast-delegation+jwt' }],
    ['a MAC for a signature', 'algorithm-foreign', { alg: 'HS256', typ: 'holdfast-delegation+jwt' }],
    ['the type of any JWT', 'type-foreign', { alg: 'EdDSA', typ: 'JWT' }],
    ['a key of its own', 'key-in-header', { alg: 'EdDSA', typ: 'holdfast-delegation+jwt', jwk: {} }],
    ['the name of a key', 'key-in-header', { alg: 'EdDSA', typ: 'holdfast-delegation+jwt', kid: 'x' }],
    ['a critical extension', 'malformed', { alg: 'EdDSA', typ: 'holdfast-delegation+jwt', crit: ['b64'] }],
    ['the same in another order', 'malformed', { typ: 'holdfast-delegation+jwt', alg: 'EdDSA' }],
  ]
  test.each(headers)('a header with %s, signed by the right key', (_, flaw, header) => {
    const made = chainOf({})
    const [link = ''] = made.chain
    expect(look(made, {}, [resigned(link, made.root, () => undefined, header)])).toEqual(flawed(flaw, 1))
  })

  test('header-keyed: a key of the attacker in the header is not what the signature is checked with', async () => {
    const made = chainOf({})
    const attacker = createEphemeralIdentity()
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: formatPublicKey(attacker.publicKey) }
    const header = { alg: 'EdDSA', typ: 'holdfast-delegation+jwt', jwk }
    const [link = ''] = made.chain
    const keyed = resigned(link, attacker, set({ scope: 'operator.admin' }), header)
    expect(look(made, {}, [keyed])).toEqual(flawed('key-in-header', 1))
    // Negative control: a verifier that believes the header takes it.
    const believing = await jwtVerify(keyed, await importJWK(jwk, 'EdDSA'), { currentDate: new Date(NOW_MS) })
    expect(believing.payload['scope']).toBe('operator.admin')
  })
})

describe('making a link', () => {
  const holder = createEphemeralIdentity()
  const good = {
    issuer: createEphemeralIdentity(),
    holder: holder.publicKey,
    gatewayId: GATEWAY,
    role: 'operator',
    scopes: ['operator.read'],
    nowMs: NOW_MS,
    ttlMs: 60_000,
  }
  const unfit: readonly [string, Partial<Parameters<typeof delegate>[0]>][] = [
    ['a scope outside its alphabet', { scopes: ['operator read'] }],
    ['a scope twice', { scopes: ['a', 'a'] }],
    ['a life of no time', { ttlMs: 0 }],
    ['a life of more than a day', { ttlMs: MAX_DELEGATION_TTL_MS + 1 }],
    ['a time that is none', { nowMs: Number.NaN }],
    ['a depth beyond the bound', { depth: 4 }],
    ['a negative depth', { depth: -1 }],
    ['no connection', { caveats: { connections: 0 } }],
    ['a call outside its alphabet', { caveats: { calls: ['rm -rf'] } }],
    ['a chain that is not the issuer’s', { chain: chainOf({}).chain }],
  ]
  test.each(unfit)('%s is refused, and nothing is signed', (_, wrong) => {
    let signed = 0
    const issuer = {
      ...good.issuer,
      id: good.issuer.id,
      sign: () => {
        signed += 1
        return new Uint8Array(64)
      },
    }
    expect(() => delegate({ ...good, ...wrong, issuer })).toThrow(
      expect.toSatisfy(error => isHandshakeError(error) && error.code === 'DELEGATION_INVALID'),
    )
    expect(signed).toBe(0)
  })

  test('it ends with the link before, whatever is asked', () => {
    const made = chainOf({ ttlMs: 5_000, depth: 1 }, { ttlMs: 60_000 })
    expect(look(made)).toMatchObject({ delegation: { expiresAtMs: NOW_MS + 5_000 } })
  })

  test('what is signed is none of the other strings that a device signs', () => {
    const inputs: Uint8Array[] = []
    const issuer = {
      ...good.issuer,
      id: good.issuer.id,
      sign: (bytes: Uint8Array) => {
        inputs.push(bytes)
        return new Uint8Array(64)
      },
    }
    delegate({ ...good, issuer })
    const [input] = inputs
    expect(Buffer.from(input ?? []).toString()).toMatch(/^eyJ[\w-]+\.[\w-]+$/)
    expect([0x00, '|'.charCodeAt(0)].some(byte => input?.includes(byte))).toBe(false)
  })
})

describe('beside another implementation', () => {
  test('jose verifies our links, with our type, audience and times', async () => {
    const made = chainOf({ ttlMs: 12_345 })
    const key = await importJWK(
      { kty: 'OKP', crv: 'Ed25519', x: formatPublicKey(made.root.publicKey) },
      'EdDSA',
    )
    const checks = {
      typ: 'holdfast-delegation+jwt',
      algorithms: ['EdDSA'],
      audience: GATEWAY,
      issuer: made.root.id,
    }
    const [link = ''] = made.chain
    const { payload } = await jwtVerify(link, key, { ...checks, currentDate: new Date(NOW_MS) })
    expect(payload).toMatchObject({
      role: 'operator',
      scope: 'operator.read',
      exp: (NOW_MS + 12_345) / 1_000,
    })
    const late = { ...checks, currentDate: new Date(NOW_MS + 14_000) }
    await expect(jwtVerify(link, key, late)).rejects.toMatchObject({ code: 'ERR_JWT_EXPIRED' })
  })

  test('we verify links that jose made in the order of our claims, and no other order', async () => {
    const seed = Buffer.alloc(32, 7)
    const root = identityFrom({ seed })
    const holder = createEphemeralIdentity()
    const jwk = {
      kty: 'OKP',
      crv: 'Ed25519',
      x: formatPublicKey(root.publicKey),
      d: seed.toString('base64url'),
    }
    const claims = {
      iss: root.id,
      aud: GATEWAY,
      nbf: NOW_MS / 1_000,
      exp: NOW_MS / 1_000 + 60,
      jti: Buffer.alloc(16).toString('base64url'),
      cnf: { jwk: { kty: 'OKP', crv: 'Ed25519', x: formatPublicKey(holder.publicKey) } },
      role: 'operator',
      scope: 'operator.read',
      depth: 0,
    }
    const signed = (payload: object) =>
      new SignJWT({ ...payload })
        .setProtectedHeader({ alg: 'EdDSA', typ: 'holdfast-delegation+jwt' })
        .sign(jwk)
    const made = { root, holders: [holder], last: holder, chain: [await signed(claims)] }
    expect(look(made).verdict).toBe('verified')
    const { depth, ...rest } = claims
    expect(look(made, {}, [await signed({ depth, ...rest })])).toEqual(flawed('malformed', 1))
  })

  test('the golden vectors, for other languages', () => {
    const file = new URL('vectors/delegation.json', import.meta.url)
    const { gatewayId, rootPublicKey, cases } = JSON.parse(readFileSync(file, 'utf8'))
    for (const each of cases) {
      const root = parsePublicKey(rootPublicKey)
      const holder = parsePublicKey(each.holder)
      const gateway = parseDeviceId(gatewayId)
      if (root === null || holder === null || gateway === null) throw new Error('a vector that is none')
      const context = {
        root,
        holder,
        gatewayId: gateway,
        nowMs: each.nowMs,
        roles: ROLES,
        revoked: new Set<string>(),
      }
      const answer = verifyDelegation(each.chain, context)
      const told = answer.verdict === 'verified' ? answer : { flaw: answer.flaw, link: answer.link }
      expect(told, each.name).toMatchObject(each.expected)
      if (answer.verdict === 'verified') expect(answer.delegation.root).toBe(deviceIdOf(root))
    }
    expect(cases.length).toBeGreaterThan(5)
  })
})
