import {
  ADMISSION_RULES,
  type AdmissionFacts,
  BUILT_IN_ROLES,
  decide,
  defineRoles,
  type ProofVerdict,
  type Role,
  type Scope,
} from '@holdfast/handshake'
import { describe, expect, test } from 'vitest'
import { device, factsOf, LOCAL, proven, REMOTE, scopes } from './admission-facts.ts'
import { ROLES } from './connect-frame.ts'
import { proofOf, readingOf } from './holdfast-frame.ts'

const policy = (more: Partial<AdmissionFacts['policy']> = {}): AdmissionFacts['policy'] => ({
  roles: ROLES,
  ceiling: scopes('write', 'approvals'),
  deviceless: null,
  allowOpenClawProof: false,
  ...more,
})
const gatewayToken = { kind: 'gateway-token', registers: true } as const
const ROLE = 'operator' as Role
const operatorsAlone = defineRoles({ operator: BUILT_IN_ROLES['operator'] ?? {} })
const full = { ok: false, cap: 'total' } as const
const FLAWS: readonly ProofVerdict[] = [
  { verdict: 'public-key-invalid' },
  { verdict: 'device-id-mismatch' },
  { verdict: 'nonce-mismatch' },
  { verdict: 'signature-expired', deltaMs: -121_000, limitMs: 120_000 },
  { verdict: 'gateway-mismatch' },
  { verdict: 'address-mismatch', dialled: '203.0.113.9:443' },
  { verdict: 'signature-invalid' },
]

test('the table holds the rules in the order in which they are asked', () => {
  expect(ADMISSION_RULES.map(rule => rule.id)).toEqual([
    '2',
    '3',
    '4',
    '5',
    '6',
    '7',
    '7a',
    '8',
    '9',
    '10',
    '10a',
    '11',
    '12',
    '13',
  ])
})

describe('rule 2', () => {
  test('refuses what cannot be read, whatever else is right', () => {
    const frame = { ok: false, refusal: { code: 'wish-unknown' } } as const
    expect(decide(factsOf({ frame }))).toMatchObject({
      rule: '2',
      outcome: 'refused',
      refusal: { code: 'wish-unknown' },
    })
  })
})

describe('rule 3', () => {
  test.each([
    ['gateway-token', 'token-mismatch'],
    ['device-token', 'device-token-mismatch'],
    ['join-code', 'join-code-invalid'],
  ] as const)('a wrong %s is a %s', (presented, code) => {
    const decision = decide(factsOf({ credential: { kind: 'wrong', presented } }))
    expect(decision).toMatchObject({ rule: '3', outcome: 'refused', refusal: { code } })
  })

  test.each(FLAWS)('L2: under a wrong token nobody learns that the proof is $verdict', proof => {
    const credential = { kind: 'wrong', presented: 'gateway-token' } as const
    const stranger = decide(factsOf({ credential, device: null }))
    expect(stranger).toMatchObject({ refusal: { code: 'token-mismatch' } })
    for (const known of [device(), null]) {
      const wrong = decide(factsOf({ credential, proof, device: known }))
      expect({ ...wrong, facts: null }).toEqual({ ...stranger, facts: null })
    }
  })

  test('F55 F68: only a known device that has proven itself is told that its key may do without the token', () => {
    const credential = { kind: 'wrong', presented: 'gateway-token' } as const
    expect(decide(factsOf({ credential }))).toMatchObject({
      refusal: { code: 'token-mismatch', deviceKnown: true },
    })
    const stranger = decide(factsOf({ credential, device: null }))
    expect(stranger.outcome === 'refused' && stranger.refusal).toEqual({ code: 'token-mismatch' })
  })

  test.each([
    ['device-token', 'device-token-mismatch'],
    ['join-code', 'join-code-invalid'],
  ] as const)('who shows a wrong %s is told nothing of its device', (presented, code) => {
    const decision = decide(factsOf({ credential: { kind: 'wrong', presented } }))
    expect(decision.outcome === 'refused' && decision.refusal).toEqual({ code })
  })
})

describe('rule 4', () => {
  const absent = { proof: { verdict: 'absent' } as const, device: null }

  test('C3: a valid token and no device is refused', () => {
    expect(decide(factsOf(absent))).toMatchObject({ rule: '4', refusal: { code: 'device-required' } })
  })

  test('C3: where the author allows it, the scopes are the fixed ones, whatever was asked for', () => {
    const facts = factsOf({ ...absent, names: ['admin'], policy: policy({ deviceless: scopes('read') }) })
    expect(decide(facts)).toMatchObject({
      rule: '4',
      outcome: 'admitted',
      scopes: scopes('read'),
      registers: false,
    })
  })

  test.each<[string, Partial<AdmissionFacts> & { role?: string; names?: string[] }]>([
    ['from afar', { origin: REMOTE }],
    ['without a token', { credential: { kind: 'none' } }],
    ['on a device token', { credential: { kind: 'device-token' } }],
    ['in a role that the list does not name', { role: 'node', names: [] }],
    ['where the list is empty', { policy: policy({ deviceless: [] }) }],
    [
      'in a role that the table no longer knows',
      {
        role: 'node',
        names: [],
        policy: policy({ roles: operatorsAlone, deviceless: scopes('read') }),
      },
    ],
  ])('C3: not %s', (_, more) => {
    const facts = factsOf({ ...absent, policy: policy({ deviceless: scopes('read') }), ...more })
    expect(decide(facts)).toMatchObject({ rule: '4', refusal: { code: 'device-required' } })
  })
})

describe('rule 7a: H13: a device that has proven itself by holdfast/1', () => {
  const known = device({ provenByHoldfast: true })

  test('is not let in by a weaker proof, whatever else speaks for it', () => {
    const facts = factsOf({ device: { ...known, grant: scopes('read', 'write') } })
    expect(decide(facts)).toMatchObject({ rule: '7a', refusal: { code: 'proof-downgraded' } })
  })

  test('is let in by it where the author allows that, and always by its own', () => {
    const allowed = { device: known, policy: policy({ allowOpenClawProof: true }) }
    expect(decide(factsOf(allowed))).toMatchObject({ rule: '10', outcome: 'admitted' })
    const { frame } = proofOf({ scopes: scopes('read', 'write') })
    const own = { device: known, proof: readingOf(frame).proof }
    expect(decide(factsOf(own))).toMatchObject({ rule: '10', outcome: 'admitted' })
  })

  test('revoked, it is told of the downgrade first: nothing of what is known of it is told to a weaker proof', () => {
    const revoked = device({ provenByHoldfast: true, trust: 'revoked' })
    expect(decide(factsOf({ device: revoked }))).toMatchObject({ rule: '7a' })
  })
})

describe('rules 5 to 7', () => {
  const rules = ['5', '5', '6', '6', '6', '6', '7']
  test.each(FLAWS.map((proof, i) => ({ proof, rule: rules[i] })))(
    'rule $rule: $proof.verdict',
    ({ proof, rule }) => {
      const { verdict: code, ...facts } = proof
      expect(decide(factsOf({ proof }))).toMatchObject({
        rule,
        outcome: 'refused',
        refusal: { code, ...facts },
      })
    },
  )

  test.each(FLAWS)(
    'L2: without any credential $verdict reads as device-auth-invalid, like the others',
    proof => {
      const decision = decide(factsOf({ proof, credential: { kind: 'none' } }))
      expect(decision).toMatchObject({ outcome: 'refused', refusal: { code: 'device-auth-invalid' } })
      if (decision.outcome === 'refused') expect(Object.keys(decision.refusal)).toEqual(['code'])
    },
  )
})

describe('rule 8', () => {
  test('a tombstone of the device stands before every grant, ceiling and token', () => {
    const revoked = device({ trust: 'revoked', grant: scopes('admin') })
    expect(decide(factsOf({ device: revoked }))).toMatchObject({
      rule: '8',
      refusal: { code: 'device-revoked' },
    })
  })

  test('so does a tombstone of the role alone, also for a device that registered itself', () => {
    for (const trust of ['trusted-local', 'approved'] as const) {
      const facts = factsOf({ device: device({ trust, roleRevoked: true, grant: scopes('admin') }) })
      expect(decide(facts)).toMatchObject({ rule: '8', refusal: { code: 'device-revoked' } })
    }
  })
})

describe('rule 9', () => {
  const approved = device({ trust: 'approved', grant: scopes('write') })

  test('a grant that covers the wish admits from anywhere, without any credential, and registers nobody', () => {
    const facts = factsOf({ device: approved, origin: REMOTE, credential: { kind: 'none' } })
    expect(decide(facts)).toMatchObject({
      rule: '9',
      outcome: 'admitted',
      scopes: scopes('read', 'write'),
      registers: false,
    })
  })

  test('C2: what is asked for is given, not what is granted', () => {
    const facts = factsOf({ names: ['read'], device: device({ trust: 'approved', grant: scopes('admin') }) })
    expect(decide(facts)).toMatchObject({ rule: '9', scopes: scopes('read') })
  })

  test('an empty grant is a grant of the bare role', () => {
    const facts = factsOf({
      role: 'node',
      names: [],
      device: device({ trust: 'approved', grant: [] }),
      origin: REMOTE,
    })
    expect(decide(facts)).toMatchObject({ rule: '9', outcome: 'admitted', scopes: [] })
  })

  test('no grant is none: not even the bare role', () => {
    const facts = factsOf({ names: [], device: device({ trust: 'approved' }) })
    expect(decide(facts)).toMatchObject({ rule: '12', outcome: 'ask', missing: [], reason: 'role-upgrade' })
  })

  test('a granted scope that the table no longer knows counts for nothing', () => {
    const grant = ['operator.gone' as Scope, ...scopes('read')]
    const facts = factsOf({ device: device({ trust: 'approved', grant }) })
    expect(decide(facts)).toMatchObject({ outcome: 'ask', missing: scopes('write') })
  })
})

describe('rule 10', () => {
  test('F60: a device that registered itself has what it wishes within the ceiling, and no more', () => {
    expect(decide(factsOf())).toMatchObject({
      rule: '10',
      outcome: 'admitted',
      scopes: scopes('read', 'write'),
      registers: false,
    })
    expect(decide(factsOf({ names: ['read'] }))).toMatchObject({ rule: '10', scopes: scopes('read') })
  })

  test('C2: one scope beyond the ceiling is a wish for a person, and nothing of it is given meanwhile', () => {
    const decision = decide(factsOf({ names: ['read', 'admin'] }))
    expect(decision).toMatchObject({
      rule: '12',
      outcome: 'ask',
      missing: scopes('admin'),
      reason: 'scope-upgrade',
    })
  })

  test('a known device needs no token at all', () => {
    expect(decide(factsOf({ credential: { kind: 'none' } }))).toMatchObject({ rule: '10', registers: false })
  })

  test('an unknown device is registered under a token that still registers', () => {
    expect(decide(factsOf({ device: null }))).toMatchObject({
      rule: '10',
      outcome: 'admitted',
      registers: true,
    })
  })

  test.each<[string, AdmissionFacts['credential']]>([
    ['no credential', { kind: 'none' }],
    ['a token whose generation was closed', { kind: 'gateway-token', registers: false }],
    ['a device token', { kind: 'device-token' }],
  ])('an unknown device under %s waits for a person', (_, credential) => {
    expect(decide(factsOf({ device: null, credential }))).toMatchObject({
      rule: '12',
      outcome: 'ask',
      missing: scopes('read', 'write'),
      reason: 'not-paired',
    })
  })

  test('C10 C11 C13 F60 F66: nobody but a direct local peer', () => {
    for (const known of [device(), null]) {
      for (const originClass of ['none', 'browser'] as const) {
        const origin = { ...REMOTE, source: '127.0.0.1', originClass }
        expect(decide(factsOf({ device: known, origin }))).toMatchObject({ rule: '12', outcome: 'ask' })
      }
    }
  })

  test('C12: local trust can be switched off', () => {
    for (const known of [device(), null]) {
      const facts = factsOf({ device: known, policy: policy({ ceiling: null }) })
      expect(decide(facts)).toMatchObject({ rule: '12', outcome: 'ask' })
    }
  })

  test('it never touches an approved device: its grant is its limit', () => {
    const facts = factsOf({ device: device({ trust: 'approved', grant: scopes('read') }) })
    expect(decide(facts)).toMatchObject({ rule: '12', outcome: 'ask', missing: scopes('write') })
  })

  test('what a person narrowed binds, and a grant stands beside it', () => {
    const narrowed = device({ narrowedTo: scopes('read') })
    expect(decide(factsOf({ device: narrowed, names: ['read'] }))).toMatchObject({ rule: '10' })
    expect(decide(factsOf({ device: narrowed }))).toMatchObject({ rule: '12', missing: scopes('write') })
    const granted = device({ narrowedTo: scopes('read'), grant: scopes('approvals') })
    expect(decide(factsOf({ device: granted, names: ['read', 'approvals'] }))).toMatchObject({ rule: '10' })
  })

  test('narrowing never widens: admin there is still the ceiling', () => {
    const facts = factsOf({ device: device({ narrowedTo: scopes('admin') }), names: ['pairing'] })
    expect(decide(facts)).toMatchObject({ rule: '12', missing: scopes('pairing') })
  })

  test('H14: a role that the ceiling does not name is out of reach, also bare', () => {
    for (const known of [device(), null]) {
      expect(decide(factsOf({ role: 'node', names: [], device: known }))).toMatchObject({
        rule: '12',
        outcome: 'ask',
      })
    }
  })

  test('a wish for nothing is never an upgrade', () => {
    expect(decide(factsOf({ names: [] }))).toMatchObject({ rule: '10', outcome: 'admitted', scopes: [] })
  })
})

describe('rule 10a', () => {
  const code = (...names: string[]): AdmissionFacts['credential'] => ({
    kind: 'join-code',
    role: ROLE,
    scopes: scopes(...names),
    spent: false,
  })
  const afar = { origin: REMOTE, device: null }

  test('F75: an unknown device with a code for its wish is let in from anywhere, without a person', () => {
    expect(decide(factsOf({ ...afar, credential: code('write') }))).toMatchObject({
      rule: '10a',
      outcome: 'admitted',
      scopes: scopes('read', 'write'),
      registers: true,
    })
  })

  test('F75: a known device is let in by a code too, and not registered again', () => {
    const known = device({ trust: 'approved', grant: scopes('read') })
    expect(decide(factsOf({ ...afar, device: known, credential: code('write') }))).toMatchObject({
      rule: '10a',
      outcome: 'admitted',
      registers: false,
    })
  })

  test('H20: nothing beyond the code, and no other role', () => {
    expect(decide(factsOf({ ...afar, credential: code('read') }))).toMatchObject({
      rule: '12',
      missing: scopes('read', 'write'),
    })
    const other = factsOf({ ...afar, role: 'node', names: [], credential: code('admin') })
    expect(decide(other)).toMatchObject({ rule: '12' })
  })

  test('H20: one that was spent gives nothing, not even to the device that spent it', () => {
    const spent = { ...code('admin'), spent: true } as AdmissionFacts['credential']
    for (const known of [null, device({ trust: 'approved', grant: scopes('read') })]) {
      expect(decide(factsOf({ ...afar, device: known, credential: spent }))).toMatchObject({ rule: '12' })
    }
  })

  test('it lifts no tombstone', () => {
    for (const buried of [device({ trust: 'revoked' }), device({ roleRevoked: true })]) {
      expect(decide(factsOf({ device: buried, credential: code('admin') }))).toMatchObject({ rule: '8' })
    }
  })

  test('what the device has already is not taken from the code', () => {
    expect(decide(factsOf({ credential: code('admin') }))).toMatchObject({ rule: '10' })
    const approved = device({ trust: 'approved', grant: scopes('write') })
    expect(decide(factsOf({ device: approved, credential: code('admin') }))).toMatchObject({ rule: '9' })
  })
})

describe('rules 12 and 13', () => {
  test('a person is asked for what is missing only', () => {
    const facts = factsOf({ origin: REMOTE, device: device({ trust: 'approved', grant: scopes('read') }) })
    expect(decide(facts)).toMatchObject({ rule: '12', missing: scopes('write'), reason: 'scope-upgrade' })
  })

  test('H14: another role of a known device is its own question', () => {
    const facts = factsOf({ role: 'node', names: [], device: device({ trust: 'approved' }), origin: REMOTE })
    expect(decide(facts)).toMatchObject({ rule: '12', missing: [], reason: 'role-upgrade' })
  })

  test('over a cap nobody is asked', () => {
    expect(decide(factsOf({ device: null, origin: REMOTE, room: full }))).toMatchObject({
      rule: '13',
      refusal: { code: 'requests-full', cap: 'total' },
    })
  })

  test('a cap on requests holds back nobody who needs none', () => {
    expect(decide(factsOf({ room: full }))).toMatchObject({ rule: '10', outcome: 'admitted' })
  })
})

describe('the order', () => {
  test('where several rules apply the earliest decides', () => {
    const malformed = { ok: false, refusal: { code: 'protocol-mismatch' } } as const
    const good = proven(['read', 'write'])
    const grant = scopes('admin')
    // Everything is wrong at first; each step mends what the deciding rule found, until nothing is left.
    const steps: readonly (readonly [string, Partial<AdmissionFacts>])[] = [
      [
        '2',
        {
          frame: malformed,
          credential: { kind: 'wrong', presented: 'gateway-token' },
          proof: { verdict: 'absent' },
          device: device({ trust: 'revoked', roleRevoked: true, grant }),
          room: full,
        },
      ],
      ['3', { frame: { ok: true, wish: good.wish } }],
      ['4', { credential: gatewayToken }],
      ['5', { proof: { verdict: 'public-key-invalid' } }],
      ['5', { proof: { verdict: 'device-id-mismatch' } }],
      ['6', { proof: { verdict: 'nonce-mismatch' } }],
      ['6', { proof: { verdict: 'signature-expired', deltaMs: 1, limitMs: 0 } }],
      ['7', { proof: { verdict: 'signature-invalid' } }],
      ['8', { proof: good.proof }],
      ['8', { device: device({ roleRevoked: true, grant }) }],
      ['9', { device: device({ grant }) }],
      ['10', { device: device() }],
      ['13', { origin: REMOTE }],
      ['12', { room: { ok: true } }],
      ['10', { origin: LOCAL }],
    ]
    let facts = factsOf()
    for (const [rule, change] of steps) {
      facts = { ...facts, ...change }
      expect(decide(facts).rule).toBe(rule)
    }
  })

  test('a decision carries the facts it was made on', () => {
    const facts = factsOf()
    expect(decide(facts).facts).toBe(facts)
  })
})

describe('a proof that was not verified here', () => {
  const { proof } = proven(['read'])
  if (proof.verdict !== 'verified') throw new Error(proof.verdict)
  const real = proof.proof

  test.each([
    ['a copy', { ...real }],
    ['a clone through JSON', JSON.parse(JSON.stringify(real))],
    ['an heir', Object.create(real)],
    ['a stand-in', new Proxy(real, {})],
    ['nothing', null],
  ])('is a TypeError, not a decision: %s', (_, forged) => {
    const facts = factsOf({ proof: { verdict: 'verified', proof: forged } })
    expect(() => decide(facts)).toThrow(TypeError)
    // Also where an earlier rule would refuse: a forged proof is a mistake of the caller.
    expect(() => decide({ ...facts, device: device({ trust: 'revoked' }) })).toThrow(TypeError)
  })

  test('the real one is decided on (the control)', () => {
    expect(decide(factsOf({ proof: { verdict: 'verified', proof: real } })).rule).toBe('10')
  })
})
