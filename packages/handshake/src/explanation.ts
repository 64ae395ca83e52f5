import { ADMISSION_RULES, type Decision } from './admission-rules.ts'

/**
 * A decision for people: each rule that was asked, in order, and what the last one said. Plain ASCII, no secret,
 * no text that a peer chose.
 */
export function explain(decision: Decision): string {
  const lines: string[] = []
  for (const rule of ADMISSION_RULES) {
    const decided = rule.id === decision.rule
    lines.push(
      `${decided ? '->' : '  '} rule ${rule.id.padEnd(2)} ${rule.asks} ${decided ? verdict(decision) : 'passed'}`,
    )
    if (decided) break
  }
  return lines.join('\n')
}

function verdict(decision: Decision): string {
  switch (decision.outcome) {
    case 'admitted':
      return `admitted with ${decision.scopes.join(', ') || 'no scope'}${decision.registers ? ', registered now' : ''}`
    case 'refused':
      return `refused: ${decision.refusal.code}`
    case 'ask':
      return `a person must approve ${decision.missing.join(', ') || 'the role'} (${decision.reason})`
  }
}
