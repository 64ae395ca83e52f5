import { ADMISSION_RULES, type AdmissionFacts, type Decision } from './admission-rules.ts'
import type { Scope } from './scopes.ts'
import type { ConnectionOrigin, UpgradeDecision } from './upgrade-rules.ts'

/** One rule, as it was asked: `answer` is `no` where it had nothing to say, else what it decided. */
export interface AskedRule {
  readonly rule: string
  readonly asks: string
  readonly answer: string
}

/**
 * A decision about a `connect`, for people and for programs: what was asked, what was known, which rules were asked in order,
 * and what would change the answer. No secret is in it, and no text that a peer chose but role and scopes, which the table
 * knows.
 */
export interface Explanation {
  /** The rule that decided. */
  readonly rule: string
  readonly outcome: Decision['outcome']
  readonly deviceId: string | null
  readonly asked: {
    /** `null`: nothing could be read. */
    readonly role: string | null
    readonly scopes: readonly string[]
    readonly credential: string
    readonly proof: string
    readonly origin: string
  }
  readonly known: { readonly ceiling: readonly string[] | null; readonly device: string }
  /** In their order, up to the one that decided. */
  readonly rules: readonly AskedRule[]
  /** The command that would change the answer, without the options that name an install; or what else would. */
  readonly change: string
}

/** What {@link explain} prints, as an object. `requestId`: the request that was opened, or found open. */
export function explanationOf(decision: Decision, requestId: string | null = null): Explanation {
  const { frame, credential, proof, origin, policy, device } = decision.facts
  const decided = ADMISSION_RULES.findIndex(rule => rule.id === decision.rule)
  const deviceId = proof.verdict === 'verified' ? proof.proof.deviceId : null
  return {
    rule: decision.rule,
    outcome: decision.outcome,
    deviceId,
    asked: {
      role: frame.ok ? frame.wish.role : null,
      scopes: frame.ok ? frame.wish.scopes : [],
      credential: credential.kind === 'wrong' ? `wrong ${credential.presented}` : credential.kind,
      proof: proof.verdict === 'verified' ? proof.proof.family : proof.verdict,
      origin: from(origin),
    },
    known: { ceiling: policy.ceiling, device: deviceText(device) },
    rules: ADMISSION_RULES.slice(0, decided + 1).map(({ id, asks }, at) => {
      return { rule: id, asks, answer: at === decided ? verdict(decision) : 'no' }
    }),
    change: changeOf(decision, deviceId ?? 'DEVICE', requestId),
  }
}

/**
 * A decision for people: the facts, then each rule that was asked, in order, and what the last one said.
 * ASCII, no secret, no text that a peer chose.
 */
export function explain(decision: Decision | UpgradeDecision): string {
  if (decision.rule === '1') {
    return `-> rule 1  ${decision.outcome === 'refused' ? `refused: ${decision.refusal.code}` : `goes on, ${from(decision.origin)}`}`
  }
  return explanationLines(explanationOf(decision)).join('\n')
}

/** An explanation line by line, but for what would change the answer. */
export function explanationLines({ asked, known, rules }: Explanation): string[] {
  return [
    `   wish        ${asked.role === null ? 'unreadable' : `${asked.role}: ${listed(asked.scopes)}`}`,
    `   credential  ${asked.credential}`,
    `   proof       ${asked.proof}`,
    `   origin      ${asked.origin}`,
    `   ceiling     ${known.ceiling === null ? 'none: local trust is off' : listed(known.ceiling)}`,
    `   device      ${known.device}`,
    ...rules.map(({ rule, asks, answer }, at) => {
      return `${at === rules.length - 1 ? '->' : '  '} rule ${rule.padEnd(2)} ${asks} ${answer}`
    }),
  ]
}

function verdict(decision: Decision): string {
  switch (decision.outcome) {
    case 'admitted':
      return `admitted with ${listed(decision.scopes)}${decision.registers ? ', registered now' : ''}`
    case 'refused':
      return `refused: ${decision.refusal.code}`
    case 'ask':
      return `a person must approve ${decision.missing.join(', ') || 'the role'} (${decision.reason})`
  }
}

/** By the rule that decided: the command that turns its answer around, or who else could. */
const CHANGES: Readonly<Record<string, string>> = {
  '2': 'The client has to ask for what the table of roles knows, in the frames of the protocol.',
  '3': 'holdfast token rotate',
  '4': 'The client has to prove a device: open an identity with holdfast id.',
  '5': 'holdfast doctor',
  '6': 'The client has to sign the challenge of its own socket, for this gateway.',
  '7': 'holdfast doctor',
  '7a': 'holdfast gateway --allow-openclaw-proof',
  '11': 'Whoever delegated has to give more, within what the device itself has.',
  '13': 'holdfast requests',
}

function changeOf(decision: Decision, deviceId: string, requestId: string | null): string {
  const { frame, proof } = decision.facts
  const role = frame.ok ? frame.wish.role : 'ROLE'
  switch (decision.rule) {
    case '6':
      return proof.verdict === 'address-mismatch'
        ? `holdfast gateway --public-addresses ${proof.dialled}`
        : (CHANGES['6'] ?? '')
    case '8':
      return `holdfast reinstate ${deviceId}`
    case '9':
    case '10a':
      return `holdfast revoke ${deviceId} --role ${role}`
    case '10':
      return `holdfast narrow ${deviceId} --role ${role} --scopes none`
    case '12':
      return `holdfast approve ${requestId ?? 'REQUEST'}`
    default:
      return CHANGES[decision.rule] ?? `holdfast revoke ${deviceId}`
  }
}

function deviceText(device: AdmissionFacts['device']): string {
  if (device === null) return 'unknown'
  const parts = [
    `${device.trust}, granted ${device.grant === null ? 'nothing' : listed(device.grant)}`,
    ...(device.narrowedTo === null ? [] : [`narrowed to ${listed(device.narrowedTo)}`]),
    ...(device.roleRevoked ? ['this role revoked'] : []),
    ...(device.provenByHoldfast ? ['proven by holdfast/1 before'] : []),
  ]
  return parts.join(', ')
}

function from({ source, directLocal, originClass }: ConnectionOrigin): string {
  return `${directLocal ? 'direct local' : 'not local'} from ${source}${originClass === 'browser' ? ', a browser' : ''}`
}

function listed(scopes: readonly (Scope | string)[]): string {
  return scopes.join(', ') || 'no scope'
}
