import { ADMISSION_RULES, type AdmissionFacts, type Decision } from './admission-rules.ts'
import type { Scope } from './scopes.ts'
import type { ConnectionOrigin, UpgradeDecision } from './upgrade-rules.ts'

/**
 * A decision for people: the facts, then each rule that was asked, in order, and what the last one said.
 * ASCII, no secret, no text that a peer chose.
 */
export function explain(decision: Decision | UpgradeDecision): string {
  if (decision.rule === '1') {
    return `-> rule 1  ${decision.outcome === 'refused' ? `refused: ${decision.refusal.code}` : `goes on, ${from(decision.origin)}`}`
  }
  const asked = ADMISSION_RULES.findIndex(rule => rule.id === decision.rule)
  const lines = ADMISSION_RULES.slice(0, asked + 1).map((rule, at) => {
    const [mark, answer] = at === asked ? ['->', verdict(decision)] : ['  ', 'no']
    return `${mark} rule ${rule.id.padEnd(2)} ${rule.asks} ${answer}`
  })
  return [...factLines(decision.facts), ...lines].join('\n')
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

function factLines({ frame, credential, proof, origin, policy, device }: AdmissionFacts): string[] {
  return [
    `   wish        ${frame.ok ? `${frame.wish.role}: ${listed(frame.wish.scopes)}` : 'unreadable'}`,
    `   credential  ${credential.kind === 'wrong' ? `wrong ${credential.presented}` : credential.kind}`,
    `   proof       ${proof.verdict === 'verified' ? proof.proof.family : proof.verdict}`,
    `   origin      ${from(origin)}`,
    `   ceiling     ${policy.ceiling === null ? 'none: local trust is off' : listed(policy.ceiling)}`,
    `   device      ${device === null ? 'unknown' : `${device.trust}, granted ${device.grant === null ? 'nothing' : listed(device.grant)}`}`,
  ]
}

function from({ source, directLocal, originClass }: ConnectionOrigin): string {
  return `${directLocal ? 'direct local' : 'not local'} from ${source}${originClass === 'browser' ? ', a browser' : ''}`
}

function listed(scopes: readonly Scope[]): string {
  return scopes.join(', ') || 'no scope'
}
