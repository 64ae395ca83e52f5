import {
  type AdmissionFacts,
  type Decision,
  decide,
  expandScopes,
  meetScopes,
  type ProofVerdict,
  type Role,
  type Scope,
} from '@holdfast/handshake'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { proven, scopes } from './admission-facts.ts'
import { ROLES, RUNS } from './connect-frame.ts'

const NAMES = ['read', 'write', 'admin', 'approvals', 'pairing', 'talk']
const someScopes = fc.subarray([...scopes(...NAMES)])
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null })

// Proofs are real and made once: every wish of up to two scopes, and the bare role of a node.
const wishes = [
  proven([], 'node'),
  proven([]),
  ...NAMES.flatMap((a, i) => [proven([a]), ...NAMES.slice(i + 1).map(b => proven([a, b]))]),
]
const flaws: fc.Arbitrary<ProofVerdict> = fc.constantFrom(
  { verdict: 'absent' },
  { verdict: 'public-key-invalid' },
  { verdict: 'device-id-mismatch' },
  { verdict: 'nonce-mismatch' },
  { verdict: 'signature-expired', deltaMs: 1, limitMs: 0 },
  { verdict: 'gateway-mismatch' },
  { verdict: 'address-mismatch', dialled: '203.0.113.9:443' },
  { verdict: 'signature-invalid' },
)

const facts: fc.Arbitrary<AdmissionFacts> = fc
  .record({
    wish: fc.constantFrom(...wishes),
    malformed: fc.nat(19).map(n => n === 0),
    flaw: fc.option(flaws, { nil: null, freq: 3 }),
    credential: fc.constantFrom<AdmissionFacts['credential'][]>(
      { kind: 'none' },
      { kind: 'gateway-token', registers: true },
      { kind: 'gateway-token', registers: false },
      { kind: 'device-token' },
      { kind: 'join-code', role: 'operator' as Role, scopes: scopes('write'), spent: false },
      { kind: 'join-code', role: 'operator' as Role, scopes: scopes('admin'), spent: true },
      { kind: 'wrong', presented: 'gateway-token' },
    ),
    origin: fc.record({
      source: fc.constantFrom('127.0.0.1', '203.0.113.9'),
      directLocal: fc.boolean(),
      originClass: fc.constantFrom('none' as const, 'browser' as const),
    }),
    policy: fc.record({
      roles: fc.constant(ROLES),
      ceiling: maybe(someScopes),
      deviceless: maybe(someScopes),
      allowOpenClawProof: fc.boolean(),
    }),
    device: maybe(
      fc.record({
        trust: fc.constantFrom('trusted-local' as const, 'approved' as const, 'revoked' as const),
        roleRevoked: fc.nat(4).map(n => n === 0),
        grant: maybe(someScopes),
        narrowedTo: maybe(someScopes),
        provenByHoldfast: fc.nat(4).map(n => n === 0),
      }),
    ),
    room: fc.constantFrom({ ok: true } as const, { ok: false, cap: 'source' } as const),
  })
  .map(({ wish, malformed, flaw, ...rest }) => ({
    ...rest,
    proof: flaw ?? wish.proof,
    frame: malformed ? { ok: false, refusal: { code: 'wish-unknown' } } : { ok: true, wish: wish.wish },
  }))

const fewer = (list: readonly Scope[]) => fc.subarray([...list])

/** The same facts with a little less authority. */
function weaker(from: AdmissionFacts): fc.Arbitrary<AdmissionFacts> {
  const { device, policy, credential } = from
  const steps: fc.Arbitrary<AdmissionFacts>[] = [
    fc.constant({ ...from, origin: { ...from.origin, directLocal: false } }),
    fc.constant({ ...from, policy: { ...policy, ceiling: null } }),
    fc.constant({ ...from, policy: { ...policy, deviceless: null } }),
    fc.constant({ ...from, policy: { ...policy, allowOpenClawProof: false } }),
    fewer(policy.ceiling ?? []).map(ceiling => ({
      ...from,
      policy: { ...policy, ceiling: policy.ceiling && ceiling },
    })),
  ]
  if (credential.kind !== 'wrong') steps.push(fc.constant({ ...from, credential: { kind: 'none' } }))
  if (credential.kind === 'gateway-token') {
    steps.push(fc.constant({ ...from, credential: { kind: 'gateway-token', registers: false } }))
  }
  if (credential.kind === 'join-code') {
    steps.push(
      fc.constant({ ...from, credential: { ...credential, spent: true } }),
      fewer(credential.scopes).map(fewerScopes => ({
        ...from,
        credential: { ...credential, scopes: fewerScopes },
      })),
    )
  }
  if (device !== null) {
    steps.push(
      fc.constant({ ...from, device: { ...device, grant: null } }),
      fewer(device.grant ?? []).map(grant => ({
        ...from,
        device: { ...device, grant: device.grant && grant },
      })),
      fewer(device.narrowedTo ?? scopes(...NAMES)).map(narrowedTo => ({
        ...from,
        device: { ...device, narrowedTo },
      })),
      fc.constant({ ...from, device: { ...device, trust: 'revoked' } }),
      fc.constant({ ...from, device: { ...device, roleRevoked: true } }),
    )
  }
  return fc.oneof(...steps)
}

const options = { numRuns: RUNS }
const isVerified = (each: AdmissionFacts) => each.frame.ok && each.proof.verdict === 'verified'

test('every combination of facts has an answer, and the same one each time', () => {
  const met = new Set<Decision['rule']>()
  fc.assert(
    fc.property(facts, each => {
      const decision = decide(each)
      met.add(decision.rule)
      expect(['admitted', 'refused', 'ask']).toContain(decision.outcome)
      expect(decide(each)).toEqual(decision)
    }),
    options,
  )
  // The generator reaches every rule: else the properties below would say little.
  expect([...met].sort()).toEqual(['10', '10a', '12', '13', '2', '3', '4', '5', '6', '7', '7a', '8', '9'])
})

test('C2 F60: less authority never turns another answer into an admission', () => {
  let admissions = 0
  fc.assert(
    fc.property(
      facts.chain(each => fc.tuple(fc.constant(each), weaker(each))),
      ([strong, weak]) => {
        if (decide(weak).outcome !== 'admitted') return
        admissions++
        expect(decide(strong).outcome).toBe('admitted')
      },
    ),
    options,
  )
  expect(admissions).toBeGreaterThan(RUNS / 50)
})

test('C2: who is admitted gets the wish, exactly, and all of it was given by a person or by the ceiling', () => {
  fc.assert(
    fc.property(facts.filter(isVerified), each => {
      const decision = decide(each)
      if (decision.outcome !== 'admitted' || each.proof.verdict !== 'verified') return
      const { role, scopes: wished } = each.proof.proof.wish
      expect(decision.scopes).toEqual(wished)
      // Written apart from the rules: everything that anybody ever gave this device.
      const { ceiling } = each.policy
      const local = each.origin.directLocal && each.device?.trust !== 'approved' ? (ceiling ?? []) : []
      const narrowed = each.device?.narrowedTo
        ? meetScopes(ROLES, role, local, each.device.narrowedTo)
        : local
      const code = each.credential.kind === 'join-code' && !each.credential.spent ? each.credential : null
      const joined = code?.role === role ? code.scopes : []
      const held = expandScopes(ROLES, role, [...narrowed, ...joined, ...(each.device?.grant ?? [])])
      for (const scope of wished) expect(held.has(scope)).toBe(true)
    }),
    options,
  )
})

test('a revoked device, a revoked role and a wrong credential are never admitted or asked about', () => {
  fc.assert(
    fc.property(facts.filter(isVerified), each => {
      const { device, credential } = each
      const barred = device?.trust === 'revoked' || device?.roleRevoked || credential.kind === 'wrong'
      if (barred) expect(decide(each).outcome).toBe('refused')
    }),
    options,
  )
})

test('rule 10 decides only over devices that no person took in hand, and registers only under a registering token', () => {
  fc.assert(
    fc.property(facts, each => {
      const decision = decide(each)
      if (decision.rule !== '10') return
      expect(each.device?.trust ?? 'trusted-local').toBe('trusted-local')
      expect(each.device?.roleRevoked ?? false).toBe(false)
      expect(each.origin.directLocal).toBe(true)
      const registers = decision.outcome === 'admitted' && decision.registers
      expect(registers).toBe(each.device === null)
      if (registers) expect(each.credential).toEqual({ kind: 'gateway-token', registers: true })
    }),
    options,
  )
})

test('a person is asked for exactly what the device lacks, and that would suffice', () => {
  fc.assert(
    fc.property(facts.filter(isVerified), each => {
      const decision = decide(each)
      if (decision.outcome !== 'ask' || !each.frame.ok) return
      const role: Role = each.frame.wish.role
      for (const scope of decision.missing) expect(each.frame.wish.scopes).toContain(scope)
      const grant = [...(each.device?.grant ?? []), ...each.frame.wish.scopes]
      const narrowedTo = each.device?.narrowedTo ?? null
      const approved = {
        trust: each.device?.trust ?? 'approved',
        roleRevoked: false,
        grant,
        narrowedTo,
        provenByHoldfast: false,
      }
      expect(decide({ ...each, device: approved })).toMatchObject({ rule: '9', outcome: 'admitted' })
      expect(ROLES.closures.has(role)).toBe(true)
    }),
    options,
  )
})
