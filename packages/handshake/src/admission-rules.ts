import type { CredentialFact } from './credential.ts'
import { type DelegationVerdict, isVerifiedDelegation } from './delegation.ts'
import { isVerifiedProof, type ProofVerdict, type VerifiedProof } from './proof.ts'
import type { DelegationGap, PairingReason, Refusal, RequestCap } from './refusals.ts'
import { meetScopes, missingScopes, type Role, type RoleTable, type Scope, type Wish } from './scopes.ts'
import type { ConnectionOrigin } from './upgrade-rules.ts'

/** The rules of a `connect`, in the order in which they are asked. 0 and 1 come before one; 7a is of devices, 11 of their children. */
export type RuleId = '2' | '3' | '4' | '5' | '6' | '7' | '7a' | '8' | '9' | '10' | '10a' | '11' | '12' | '13'

/** How a device came to be known: registered itself under a gateway token, by a person's yes; or a tombstone. */
export type Trust = 'trusted-local' | 'approved' | 'revoked'

/** What the store knows of the device whose key was proven, as far as the wished role is concerned. */
export interface DeviceFacts {
  readonly trust: Trust
  /** A person removed this role from the device. */
  readonly roleRevoked: boolean
  /** What a person gave for this role, or `null`. An empty list is a grant of the bare role. */
  readonly grant: readonly Scope[] | null
  /** What a person narrowed the ceiling to for this device and role, or `null`. */
  readonly narrowedTo: readonly Scope[] | null
  /** Has it ever been admitted by a `holdfast/1` proof? */
  readonly provenByHoldfast: boolean
}

/** What the gateway's author configured. */
export interface AdmissionPolicy {
  readonly roles: RoleTable
  /**
   * What a trusted-local device may have without a person, or `null`: local trust is off. A role of which it names no
   * scope is out of its reach.
   */
  readonly ceiling: readonly Scope[] | null
  /**
   * Fixed scopes of peers without a device over direct loopback, or `null`: there are none such. A role of which it names
   * no scope has none such either.
   */
  readonly deviceless: readonly Scope[] | null
  /** May a device that has proven itself by `holdfast/1` come by a proof of the OpenClaw family again? */
  readonly allowOpenClawProof: boolean
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
  /** `null`: the store does not know the device. Where a delegation is shown, the device is the one that it stems from. */
  readonly device: DeviceFacts | null
  /** Is there room for one more open request, or is this wish's request open already? */
  readonly room: { readonly ok: true } | { readonly ok: false; readonly cap: RequestCap }
}

type Outcome =
  /**
   * `scopes`: what the connection holds. `registers`: the device is unknown and is registered first, by rule 10 as
   * `trusted-local`, by rule 10a as `approved`.
   */
  | { readonly outcome: 'admitted'; readonly scopes: readonly Scope[]; readonly registers: boolean }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }
  /** A person has to be asked for `missing` (where it is empty, for the bare role). */
  | { readonly outcome: 'ask'; readonly missing: readonly Scope[]; readonly reason: PairingReason }

/** What was decided, by which rule, on which facts. */
export type Decision = Outcome & { readonly rule: RuleId; readonly facts: AdmissionFacts }

/** A rule: `null` where it has nothing to say. What the rules before it let pass may be relied on. */
export interface AdmissionRule {
  readonly id: RuleId
  /** The question, so put that "no" means: go on to the next rule. */
  readonly asks: string
  readonly decide: (facts: AdmissionFacts) => Outcome | null
}

const refuse = (refusal: Refusal): Outcome => ({ outcome: 'refused', refusal })

const frameRule: AdmissionRule = {
  id: '2',
  asks: 'is the frame malformed, or its role or a scope unknown?',
  decide: ({ frame }) => (frame.ok ? null : refuse(frame.refusal)),
}

const WRONG_CREDENTIAL = {
  'gateway-token': 'token-mismatch',
  'device-token': 'device-token-mismatch',
  'join-code': 'join-code-invalid',
} as const

const credentialRule: AdmissionRule = {
  id: '3',
  asks: 'is a credential present and wrong?',
  decide: ({ credential, device, proof }) => {
    if (credential.kind !== 'wrong') return null
    const code = WRONG_CREDENTIAL[credential.presented]
    const known = code === 'token-mismatch' && proof.verdict === 'verified' && device !== null
    return refuse(known ? { code, deviceKnown: true } : { code })
  },
}

const deviceRule: AdmissionRule = {
  id: '4',
  asks: 'is there no device proof?',
  decide: ({ frame, proof, policy, origin, credential }) => {
    if (proof.verdict !== 'absent') return null
    const { roles, deviceless } = policy
    const may = deviceless !== null && origin.directLocal && credential.kind === 'gateway-token'
    const scopes = may && frame.ok ? ofRole(roles, frame.wish.role, deviceless) : []
    if (scopes.length === 0) return refuse({ code: 'device-required' })
    return { outcome: 'admitted', scopes, registers: false }
  },
}

/** Which of the rules 5 to 7 speaks of which verdict on a proof; `null`: none does. */
const RULE_OF_VERDICT: Readonly<Record<ProofVerdict['verdict'], RuleId | null>> = {
  absent: null,
  'public-key-invalid': '5',
  'device-id-mismatch': '5',
  'nonce-mismatch': '6',
  'signature-expired': '6',
  'gateway-mismatch': '6',
  'address-mismatch': '6',
  'signature-invalid': '7',
  verified: null,
}

/** A rule over the flaws of a proof. Without any credential they all read the same, so that nobody learns which. */
function proofRule(id: RuleId, asks: string): AdmissionRule {
  return {
    id,
    asks,
    decide: ({ proof, credential }) => {
      if (RULE_OF_VERDICT[proof.verdict] !== id) return null
      if (credential.kind === 'none') return refuse({ code: 'device-auth-invalid' })
      const { verdict: code, ...facts } = proof
      return refuse({ code, ...facts } as Refusal)
    },
  }
}

const downgradeRule: AdmissionRule = {
  id: '7a',
  asks: 'did the device prove itself by holdfast/1 before, and by less now?',
  decide: facts => {
    const { device, policy } = facts
    if (policy.allowOpenClawProof || device === null || !device.provenByHoldfast) return null
    const weaker = verifiedProof(facts).family !== 'holdfast/1'
    return weaker ? refuse({ code: 'proof-downgraded' }) : null
  },
}

const revokedRule: AdmissionRule = {
  id: '8',
  asks: 'was the device, or this role of it, revoked?',
  decide: ({ device, credential }) => {
    // Who cannot show a right that stems from the device learns nothing of it.
    if (credential.kind === 'delegation' && credential.delegation.verdict !== 'verified') return null
    const revoked = device !== null && (device.trust === 'revoked' || device.roleRevoked)
    return revoked ? refuse({ code: 'device-revoked' }) : null
  },
}

const grantRule: AdmissionRule = {
  id: '9',
  asks: 'does what a person gave cover the wish?',
  decide: facts => {
    const grant = facts.device?.grant ?? null
    if (isDelegated(facts)) return null
    if (grant === null || lacking(facts, grant).length > 0) return null
    return { outcome: 'admitted', scopes: provenWish(facts).scopes, registers: false }
  },
}

const localRule: AdmissionRule = {
  id: '10',
  asks: 'is it this machine under local trust, and the wish within the ceiling?',
  decide: facts => {
    const reach = isDelegated(facts) ? null : localReach(facts)
    if (reach === null || lacking(facts, reach).length > 0) return null
    const registers = facts.device === null
    if (registers && !(facts.credential.kind === 'gateway-token' && facts.credential.registers)) return null
    return { outcome: 'admitted', scopes: provenWish(facts).scopes, registers }
  },
}

const joinRule: AdmissionRule = {
  id: '10a',
  asks: 'does an unspent join code cover the wish?',
  decide: facts => {
    const { credential, device } = facts
    // Spent, it gives nothing any more: what it gave is the grant by now, and a person may have taken that back.
    if (credential.kind !== 'join-code' || credential.spent) return null
    const { role, scopes } = provenWish(facts)
    if (credential.role !== role || lacking(facts, credential.scopes).length > 0) return null
    return { outcome: 'admitted', scopes, registers: device === null }
  },
}

const delegationRule: AdmissionRule = {
  id: '11',
  asks: 'is it by a delegation: valid, with the wish within every link and within what its device has now?',
  decide: facts => {
    const { credential } = facts
    if (credential.kind !== 'delegation') return null
    const { delegation: answer } = credential
    if (answer.verdict === 'flawed') return insufficient(answer.flaw, answer.link)
    const { delegation } = answer
    const { role, scopes } = provenWish(facts)
    if (delegation.role !== role) return insufficient('role-missing', 1)
    for (const [at, link] of delegation.links.entries()) {
      const missing = lacking(facts, link.scopes)
      if (missing.length > 0) return insufficient('scopes-missing', at + 1, missing)
    }
    // Local trust reaches unknown devices, to register them. Here nobody registers, so an unknown one has nothing to give.
    const held = facts.device === null ? null : (localReach(facts) ?? facts.device.grant)
    const missing = lacking(facts, held ?? [])
    if (held === null || missing.length > 0) return insufficient('device-insufficient', 0, missing)
    return { outcome: 'admitted', scopes, registers: false }
  },
}

function insufficient(flaw: DelegationGap, link: number, missing: readonly Scope[] = []): Outcome {
  return refuse({ code: 'delegation-insufficient', flaw, link, missing })
}

/** What a child is let in by is its delegation alone: what the device itself may have bounds it, and gives it nothing. */
function isDelegated({ credential }: AdmissionFacts): boolean {
  return credential.kind === 'delegation'
}

const askRule: AdmissionRule = {
  id: '12',
  asks: 'may a person be asked?',
  decide: facts => {
    if (!facts.room.ok) return null
    if (facts.device === null) return { outcome: 'ask', missing: lacking(facts, []), reason: 'not-paired' }
    const held = localReach(facts) ?? facts.device.grant
    const reason = held === null ? 'role-upgrade' : 'scope-upgrade'
    return { outcome: 'ask', missing: lacking(facts, held ?? []), reason }
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
  proofRule('5', 'is the key misspelt, not canonical or of small order, or the id not its hash?'),
  proofRule(
    '6',
    'is the nonce absent, foreign or used, the time outside the window, or another gateway or address meant?',
  ),
  proofRule('7', 'is the signature wrong?'),
  downgradeRule,
  revokedRule,
  grantRule,
  localRule,
  joinRule,
  delegationRule,
  askRule,
  roomRule,
]

/**
 * Who may connect, and by which rule: a total, pure function. No other code admits or refuses a `connect`; a transaction
 * runs it again on facts read inside.
 *
 * It grants what was wished, never more and never less (a peer without a device has its fixed list), and taking a grant,
 * a credential, locality or a part of the ceiling away never turns another answer into an admission.
 *
 * @throws TypeError for a proof or a delegation that this process did not verify, whatever its shape.
 */
export function decide(facts: AdmissionFacts): Decision {
  if (facts.proof.verdict === 'verified' && !isVerifiedProof(facts.proof.proof)) {
    throw new TypeError('a proof that was not verified in this process')
  }
  const { credential } = facts
  if (credential.kind === 'delegation' && !isTrueVerdict(credential.delegation)) {
    throw new TypeError('a delegation that was not verified in this process')
  }
  for (const rule of ADMISSION_RULES) {
    const outcome = rule.decide(facts)
    if (outcome !== null) return { ...outcome, rule: rule.id, facts }
  }
  // Rules 12 and 13 between them answer every case.
  throw new TypeError('the admission rules are not total')
}

function isTrueVerdict(answer: DelegationVerdict): boolean {
  return answer.verdict === 'flawed' || isVerifiedDelegation(answer.delegation)
}

/** What the device has proven. Rules 4 to 7 let nothing else pass. */
function verifiedProof({ proof }: AdmissionFacts): VerifiedProof {
  if (proof.verdict !== 'verified') throw new TypeError('rules 7a to 12 are asked of a verified proof')
  return proof.proof
}

/** What the device signed that it wishes. */
function provenWish(facts: AdmissionFacts): Wish {
  return verifiedProof(facts).wish
}

/** What the wish has beyond `held`. */
function lacking(facts: AdmissionFacts, held: readonly Scope[]): readonly Scope[] {
  const wish = provenWish(facts)
  return missingScopes(facts.policy.roles, wish.role, held, wish.scopes)
}

/**
 * What rule 10 gives the device for the wished role, beside its grant; or `null` where it has no say: not direct, no local
 * trust, a role that the ceiling does not name, or a device that a person took in hand.
 */
function localReach(facts: AdmissionFacts): readonly Scope[] | null {
  const { device, policy, origin } = facts
  if (!origin.directLocal || policy.ceiling === null) return null
  if (device !== null && device.trust !== 'trusted-local') return null
  const { role } = provenWish(facts)
  const ceiling = ofRole(policy.roles, role, policy.ceiling)
  if (ceiling.length === 0) return null
  const narrowedTo = device?.narrowedTo ?? null
  const within = narrowedTo === null ? ceiling : meetScopes(policy.roles, role, ceiling, narrowedTo)
  return [...within, ...(device?.grant ?? [])]
}

/** Of a list over all roles, the scopes of this one. */
function ofRole(roles: RoleTable, role: Role, scopes: readonly Scope[]): readonly Scope[] {
  const known = roles.closures.get(role)
  return scopes.filter(scope => known?.has(scope))
}
