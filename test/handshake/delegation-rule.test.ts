import { type AdmissionFacts, decide } from '@holdfast/handshake'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { device, factsOf, LOCAL, REMOTE, scopes } from './admission-facts.ts'
import { type Chain, chainOf, look } from './chains.ts'

function byDelegation(
  made: Chain,
  facts: Parameters<typeof factsOf>[0] = {},
  looked = look(made),
): AdmissionFacts {
  return factsOf({ names: ['read'], credential: { kind: 'delegation', delegation: looked }, ...facts })
}

describe('rule 11', () => {
  const made = chainOf({ scopes: ['operator.write', 'operator.approvals'] }, { scopes: ['operator.read'] })

  test('admits what every link covers and the device has, and registers nobody', () => {
    expect(decide(byDelegation(made))).toMatchObject({ outcome: 'admitted', rule: '11', registers: false })
  })

  test('names the link and the scopes that are missing', () => {
    expect(decide(byDelegation(made, { names: ['write'] }))).toMatchObject({
      rule: '11',
      refusal: { code: 'delegation-insufficient', flaw: 'scopes-missing', link: 2, missing: scopes('write') },
    })
  })

  test('is bounded by what the device has now, and by where the connection comes from', () => {
    const gone = { code: 'delegation-insufficient', flaw: 'device-insufficient', link: 0 }
    const narrowed = byDelegation(made, { device: device({ narrowedTo: [] }) })
    expect(decide(narrowed)).toMatchObject({ rule: '11', refusal: { ...gone, missing: scopes('read') } })
    expect(decide(byDelegation(made, { origin: REMOTE }))).toMatchObject({ refusal: gone })
    const approved = device({ trust: 'approved', grant: scopes('read') })
    expect(decide(byDelegation(made, { origin: REMOTE, device: approved }))).toMatchObject({
      outcome: 'admitted',
    })
    // Without a role of its own a device gives none, not even the bare one.
    const bare = chainOf({ scopes: [] })
    const unknownRole = device({ trust: 'approved', grant: null })
    expect(decide(byDelegation(bare, { names: [], device: unknownRole }))).toMatchObject({ refusal: gone })
  })

  test("a grant of the device's own never stands in for what a link leaves out", () => {
    const everything = device({ grant: scopes('admin') })
    expect(decide(byDelegation(made, { names: ['admin'], device: everything }))).toMatchObject({
      outcome: 'refused',
      rule: '11',
    })
    // Negative control: the device itself is admitted by rule 9.
    expect(decide(factsOf({ names: ['admin'], device: everything }))).toMatchObject({ rule: '9' })
  })

  test('a revoked device is told to whom can show a right of it, and to nobody else', () => {
    const revoked = { device: device({ trust: 'revoked' }) }
    expect(decide(byDelegation(made, revoked))).toMatchObject({
      rule: '8',
      refusal: { code: 'device-revoked' },
    })
    const forged = { verdict: 'flawed', flaw: 'signature-invalid', link: 1 } as const
    expect(decide(byDelegation(made, revoked, forged))).toMatchObject({
      rule: '11',
      refusal: { flaw: 'signature-invalid', link: 1, missing: [] },
    })
  })

  test('is for one role: a wish for another is refused, also where the device has that one', () => {
    const nodeToo = device({ trust: 'approved', grant: [] })
    const wish = { role: 'node', names: [], device: nodeToo }
    expect(decide(byDelegation(chainOf({ scopes: [] }), wish))).toMatchObject({
      rule: '11',
      refusal: { code: 'delegation-insufficient', flaw: 'role-missing', link: 1, missing: [] },
    })
    // The control: a delegation for that role.
    expect(decide(byDelegation(chainOf({ role: 'node', scopes: [] }), wish))).toMatchObject({
      rule: '11',
      outcome: 'admitted',
    })
  })

  test('of a device that the store does not know gives nothing, not even what local trust would', () => {
    for (const origin of [LOCAL, REMOTE]) {
      expect(decide(byDelegation(made, { device: null, origin }))).toMatchObject({
        rule: '11',
        refusal: { flaw: 'device-insufficient', link: 0, missing: scopes('read') },
      })
    }
    // The control: the device itself would be registered there, and let in.
    expect(decide(factsOf({ names: ['read'], device: null }))).toMatchObject({ rule: '10', registers: true })
  })

  test('a delegation that this process did not verify is an error, whatever its shape', () => {
    const answer = look(made)
    if (answer.verdict === 'flawed') throw new Error(answer.flaw)
    const copy = { verdict: 'verified', delegation: { ...answer.delegation } } as const
    expect(() => decide(byDelegation(made, {}, copy))).toThrow(TypeError)
  })

  test('never asks a person, never registers, and never gives more than links and device have', () => {
    const someDevice = fc.record({
      trust: fc.constantFrom('trusted-local' as const, 'approved' as const, 'revoked' as const),
      roleRevoked: fc.boolean(),
      grant: fc.option(fc.subarray([...scopes('read', 'write', 'admin')]), { nil: null }),
      narrowedTo: fc.option(fc.subarray([...scopes('read', 'write')]), { nil: null }),
      provenByHoldfast: fc.constant(false),
    })
    const names = fc.subarray(['read', 'write', 'admin', 'approvals'])
    fc.assert(
      fc.property(someDevice, names, fc.boolean(), fc.boolean(), (known, wished, local, room) => {
        const decision = decide(
          byDelegation(made, {
            names: wished,
            device: known,
            ...(local ? {} : { origin: REMOTE }),
            room: room ? { ok: true } : { ok: false, cap: 'total' },
          }),
        )
        expect(['8', '11']).toContain(decision.rule)
        expect(decision.outcome).not.toBe('ask')
        if (decision.outcome !== 'admitted') return
        expect(decision.registers).toBe(false)
        expect(wished.filter(name => name !== 'read')).toEqual([])
        const itself = decide(
          factsOf({
            names: wished,
            device: known,
            credential: { kind: 'none' },
            origin: decision.facts.origin,
          }),
        )
        expect(itself.outcome).toBe('admitted')
      }),
      { numRuns: 60 },
    )
  })
})
