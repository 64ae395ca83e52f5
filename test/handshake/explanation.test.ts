import { decide, explain } from '@holdfast/handshake'
import { describe, expect, test } from 'vitest'
import { device, factsOf, REMOTE, scopes } from './admission-facts.ts'

describe('an explanation', () => {
  test('gives the facts, each rule that was asked, and what the last one said', () => {
    const lines = explain(decide(factsOf({ device: null }))).split('\n')
    expect(lines.slice(0, 6)).toEqual([
      '   wish        operator: operator.read, operator.write',
      '   credential  gateway-token',
      '   proof       openclaw-v3',
      '   origin      direct local from 127.0.0.1',
      '   ceiling     operator.write, operator.approvals',
      '   device      unknown',
    ])
    expect(lines.slice(6).map(line => /rule (\S+)/.exec(line)?.[1])).toEqual([
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
    ])
    for (const line of lines.slice(6, -1)) expect(line).toMatch(/^ {3}rule .*\? no$/)
    expect(lines.at(-1)).toMatch(
      /^-> rule 10 .* admitted with operator\.read, operator\.write, registered now$/,
    )
  })

  test('of a refusal ends with its code', () => {
    const text = explain(decide(factsOf({ credential: { kind: 'wrong', presented: 'gateway-token' } })))
    expect(text.split('\n').at(-1)).toMatch(/^-> rule 3 .* refused: token-mismatch$/)
  })

  test('of a wish for a person names what is missing', () => {
    const known = device({ trust: 'approved', grant: scopes('read') })
    const text = explain(decide(factsOf({ device: known, origin: REMOTE })))
    expect(text).toContain('approved, granted operator.read')
    expect(text.split('\n').at(-1)).toMatch(/a person must approve operator\.write \(scope-upgrade\)$/)
  })

  test('is plain ASCII', () => {
    expect(explain(decide(factsOf({ device: null, origin: REMOTE })))).toMatch(/^[\x20-\x7e\n]+$/)
  })
})
