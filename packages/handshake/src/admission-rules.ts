import type { CredentialFact } from './credential.ts'
import { isVerifiedProof, type ProofVerdict, type VerifiedProof } from './proof.ts'
import type { PairingReason, Refusal, RequestCap } from './refusals.ts'
import { meetScopes, missingScopes, type Role, type RoleTable, type Scope, type Wish } from './scopes.ts'
import type { ConnectionOrigin } from './upgrade-rules.ts'

/** The rules, in the order in which they are asked. `10a` and `11` are kept for join codes and delegations. */
export type RuleId = '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9' | '10' | '12' | '13'

export type Trust = 'trusted-local' | 'approved' | 'revoked'

/** What the store knows of a device, as far as the wished role is concerned. */
export interface DeviceFacts {
  readonly trust: Trust
  /** A person removed this role from the device. */
  readonly roleRevoked: boolean
  /** What a person gave for this role, or `null`. An empty list is a grant of the bare role. */
  readonly grant: readonly Scope[] | null
  /** What a person narrowed the ceiling to for this device and role, or `null`. */
  readonly narrowedTo: readonly Scope[] | null
}

/** What the gateway's author configured. */
export interface AdmissionPolicy {
  readonly roles: RoleTable
  /** What a trusted-local device may have without a person, or `null`: local trust is off. */
  readonly ceiling: readonly Scope[] | null
  /** Fixed scopes of peers without a device over direct loopback, or `null`: there are none such. */
  readonly deviceless: readonly Scope[] | null
}

/** Everything that a `connect` is decided on. */
export interface AdmissionFacts {
  /** What the frame asks for, or why nothing can be read from it. */
  readonly frame:
    | { readonly ok: true; readonly wish: Wish }
    | { readonly ok: false; readonly refusal: Refusal }
  readonly credential: CredentialFact
  readonly proof: ProofVerdict
  readonly origin: ConnectionOrigin
  readonly policy: AdmissionPolicy
  /** `null`: the store does not know the device. */
  readonly device: DeviceFacts | null
  /** Is there room for one more open request, or is this wish's request open already? */
  readonly room: { readonly ok: true } | { readonly ok: false; readonly cap: RequestCap }
}

type Outcome =
  /** `registers`: the device is unknown and must be registered first, as `trusted-local`. */
  | { readonly outcome: 'admitted'; readonly scopes: readonly Scope[]; readonly registers: boolean }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }
  /** A person has to be asked for `missing`. */
  | { readonly outcome: 'ask'; readonly missing: readonly Scope[]; readonly reason: PairingReason }

/** What was decided, by which rule, on which facts. */
export type Decision = Outcome & { readonly rule: RuleId; readonly facts: AdmissionFacts }

/** A rule: `null` where it has nothing to say. What the rules before it let pass may be relied on. */
export interface AdmissionRule {
  readonly id: RuleId
  readonly asks: string
  readonly decide: (facts: AdmissionFacts) => Outcome | null
}

const refuse = (refusal: Refusal): Outcome => ({ outcome: 'refused', refusal })

const frameRule: AdmissionRule = {
  id: '2',
  asks: 'is the frame well formed, and its role and scopes known?',
  decide: ({ frame }) => (frame.ok ? null : refuse(frame.refusal)),
}

const credentialRule: AdmissionRule = {
  id: '3',
  asks: 'is a credential present and wrong?',
  decide: ({ credential }) => {
    if (credential.kind !== 'wrong') return null
    const codes = {
      'gateway-token': 'token-mismatch',
      'device-token': 'device-token-mismatch',
      'join-code': 'join-code-invalid',
    } as const
    return refuse({ code: codes[credential.presented] })
  },
}

const deviceRule: AdmissionRule = {
  id: '4',
  asks: 'is there a device proof, or may this peer do without?',
  decide: ({ proof, policy, origin, credential }) => {
    if (proof.verdict !== 'absent') return null
    const without = policy.deviceless !== null && origin.directLocal && credential.kind === 'gateway-token'
    if (!without || policy.deviceless === null) return refuse({ code: 'device-required' })
    return { outcome: 'admitted', scopes: policy.deviceless, registers: false }
  },
}

/** One rule over the verdicts on the proof. Without any credential they all read the same, so that nobody learns which. */
function proofRule(id: RuleId, asks: string, verdicts: readonly ProofVerdict['verdict'][]): AdmissionRule {
  return {
    id,
    asks,
    decide: ({ proof, credential }) => {
      if (!verdicts.includes(proof.verdict)) return null
      if (credential.kind === 'none') return refuse({ code: 'device-auth-invalid' })
      switch (proof.verdict) {
        case 'signature-expired':
          return refuse({ code: proof.verdict, deltaMs: proof.deltaMs, limitMs: proof.limitMs })
        case 'public-key-invalid':
        case 'device-id-mismatch':
        case 'nonce-mismatch':
        case 'signature-invalid':
          return refuse({ code: proof.verdict })
        default:
          return refuse({ code: 'signature-invalid' })
      }
    },
  }
}

const revokedRule: AdmissionRule = {
  id: '8',
  asks: 'was the device, or this role of it, revoked?',
  decide: ({ device }) =>
    device !== null && (device.trust === 'revoked' || device.roleRevoked)
      ? refuse({ code: 'device-revoked' })
      : null,
}

const grantRule: AdmissionRule = {
  id: '9',
  asks: 'does what a person gave cover the wish?',
  decide: facts => {
    const { proof } = verified(facts)
    const grant = facts.device?.grant ?? null
    if (grant === null || missing(facts, proof.wish, grant).length > 0) return null
    return { outcome: 'admitted', scopes: proof.wish.scopes, registers: false }
  },
}

const localRule: AdmissionRule = {
  id: '10',
  asks: 'is it this machine under local trust, and the wish within the ceiling?',
  decide: facts => {
    const { proof } = verified(facts)
    const unknown = facts.device === null
    const reach = localReach(facts, proof.wish.role)
    if (reach === null || missing(facts, proof.wish, reach).length > 0) return null
    const mayRegister = facts.credential.kind === 'gateway-token' && facts.credential.registers
    if (unknown && !mayRegister) return null
    return { outcome: 'admitted', scopes: proof.wish.scopes, registers: unknown }
  },
}

const askRule: AdmissionRule = {
  id: '12',
  asks: 'may a person be asked?',
  decide: facts => {
    if (!facts.room.ok) return null
    const { proof } = verified(facts)
    const held = localReach(facts, proof.wish.role) ?? facts.device?.grant ?? null
    const lacking = missing(facts, proof.wish, facts.device === null ? [] : (held ?? []))
    return { outcome: 'ask', missing: lacking, reason: reasonOf(facts, held) }
  },
}

const roomRule: AdmissionRule = {
  id: '13',
  asks: 'is there no room for another request?',
  decide: ({ room }) => (room.ok ? null : refuse({ code: 'requests-full', cap: room.cap })),
}

/** The ordered table. The first rule that has something to say decides. */
export const ADMISSION_RULES: readonly AdmissionRule[] = [
  frameRule,
  credentialRule,
  deviceRule,
  proofRule('5', 'is the key canonical, of full order, and the id its hash?', [
    'public-key-invalid',
    'device-id-mismatch',
  ]),
  proofRule('6', 'is the nonce ours and unspent, and the time within the window?', [
    'nonce-mismatch',
    'signature-expired',
  ]),
  proofRule('7', 'is the signature right?', ['signature-invalid']),
  revokedRule,
  grantRule,
  localRule,
  askRule,
  roomRule,
]

/**
 * Who may connect, and by which rule: a total, pure function. No other code admits or refuses a `connect`; a transaction
 * runs it again on facts read inside.
 */
export function decide(facts: AdmissionFacts): Decision {
  for (const rule of ADMISSION_RULES) {
    const outcome = rule.decide(facts)
    if (outcome !== null) return { ...outcome, rule: rule.id, facts }
  }
  // Rules 12 and 13 between them answer every case.
  throw new TypeError('the admission rules are not total')
}

function verified(facts: AdmissionFacts): { readonly proof: VerifiedProof } {
  if (facts.proof.verdict !== 'verified' || !isVerifiedProof(facts.proof.proof)) {
    throw new TypeError('a proof that was not verified in this process')
  }
  return facts.proof
}

function missing(facts: AdmissionFacts, wish: Wish, held: readonly Scope[]): readonly Scope[] {
  return missingScopes(facts.policy.roles, wish.role, held, wish.scopes)
}

/**
 * What rule 10 gives this device for a role, or `null` where it has no say: not direct, no local trust, a role that the
 * ceiling does not name, or a device that a person took in hand.
 */
function localReach(facts: AdmissionFacts, role: Role): readonly Scope[] | null {
  const { device, policy, origin } = facts
  if (!origin.directLocal || policy.ceiling === null) return null
  if (device !== null && device.trust !== 'trusted-local') return null
  const known = policy.roles.closures.get(role)
  const ceiling = policy.ceiling.filter(scope => known?.has(scope))
  if (ceiling.length === 0) return null
  const narrowed = device?.narrowedTo ?? null
  const within = narrowed === null ? ceiling : meetScopes(policy.roles, role, ceiling, narrowed)
  return [...within, ...(device?.grant ?? [])]
}

function reasonOf(facts: AdmissionFacts, held: readonly Scope[] | null): PairingReason {
  if (facts.device === null) return 'not-paired'
  return held === null ? 'role-upgrade' : 'scope-upgrade'
}
