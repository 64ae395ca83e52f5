import type { VerifiedDelegation } from '@holdfast/handshake'
import { expandScopes, parseRole, type Scope } from '@holdfast/handshake'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Chain, chainOf, look, NOW_MS, ROLES, resigned } from './chains.ts'

const SCOPES = [
  'operator.read',
  'operator.write',
  'operator.approvals',
  'operator.admin',
  'operator.talk',
] as const
const runs = process.env['HOLDFAST_LONG'] === undefined ? 150 : 20_000

const everything = chainOf(
  { scopes: ['operator.admin'] },
  { scopes: ['operator.write'] },
  { scopes: ['operator.read'] },
)
const little = chainOf({ scopes: ['operator.read'], ttlMs: 5_000 }, { scopes: ['operator.read'] })

function authorityOf(delegation: VerifiedDelegation): ReadonlySet<Scope> {
  const role = parseRole(ROLES, delegation.role)
  const last = delegation.links.at(-1)
  if (role === null || last === undefined) throw new Error('no role')
  return expandScopes(ROLES, role, last.scopes)
}

/** What a chain gives may never be more than what the unedited one gives. */
function expectNoMore(answer: ReturnType<typeof look>, made: Chain): void {
  if (answer.verdict === 'flawed') return
  const whole = look(made)
  if (whole.verdict === 'flawed') throw new Error(whole.flaw)
  const most = authorityOf(whole.delegation)
  expect([...authorityOf(answer.delegation)].filter(scope => !most.has(scope))).toEqual([])
  expect(answer.delegation.expiresAtMs).toBeLessThanOrEqual(whole.delegation.expiresAtMs)
  expect(answer.delegation.root).toBe(whole.delegation.root)
  expect(answer.delegation.links.length).toBe(whole.delegation.links.length)
}

const segments = [...everything.chain, ...little.chain].flatMap(link => [link, ...link.split('.')])

/** One edit of the text of a chain: a character, a piece, a link, an order. */
const edit = fc.oneof(
  fc.record({
    kind: fc.constant('character' as const),
    at: fc.nat(),
    to: fc.constantFrom(...'AQgw09az-_.|\0 '),
  }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 90 }) }),
  fc.record({ kind: fc.constant('piece' as const), at: fc.nat(), from: fc.constantFrom(...segments) }),
  fc.record({
    kind: fc.constant('link' as const),
    at: fc.nat(),
    from: fc.constantFrom(...everything.chain, ...little.chain),
  }),
  fc.record({ kind: fc.constant('swap' as const), at: fc.nat(), with: fc.nat() }),
  fc.record({ kind: fc.constant('drop' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat() }),
)
type Edit = typeof edit extends fc.Arbitrary<infer Kind> ? Kind : never

function edited(chain: readonly string[], change: Edit): string[] {
  const links = [...chain]
  const at = change.at % Math.max(1, links.length)
  const link = links[at] ?? ''
  const index = change.at % Math.max(1, link.length)
  switch (change.kind) {
    case 'character':
      links[at] = link.slice(0, index) + change.to + link.slice(index + 1)
      return links
    case 'cut':
      links[at] = link.slice(0, index) + link.slice(index + change.length)
      return links
    case 'piece': {
      const parts = link.split('.')
      parts[change.at % parts.length] = change.from
      links[at] = parts.join('.')
      return links
    }
    case 'link':
      links.splice(at, 1, change.from)
      return links
    case 'swap':
      links[at] = links[change.with % links.length] ?? ''
      links[change.with % links.length] = link
      return links
    case 'drop':
      links.splice(at, 1)
      return links
    case 'repeat':
      links.splice(at, 0, link)
      return links
  }
}

describe('whatever is done to a chain', () => {
  test.each([
    ['three links', everything],
    ['two links', little],
  ])('no random edit of a valid one of %s is admitted with more than it gives', (_, made) => {
    const holder = fc.constantFrom(made.last, ...made.holders, made.root)
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), holder, (edits, by) => {
        const chain = edits.reduce<readonly string[]>(edited, made.chain)
        if (JSON.stringify(chain) === JSON.stringify(made.chain)) return
        const answer = look(made, { holder: by }, chain)
        // A holder in the middle may show its own part of the chain, which is what it was given.
        if (by !== made.last && answer.verdict === 'verified') {
          expect(made.chain.slice(0, chain.length)).toEqual(chain)
        } else expectNoMore(answer, made)
      }),
      { numRuns: runs },
    )
  })

  test('nor one that each holder signed anew, with whatever claims it likes', () => {
    const claims = fc.record(
      {
        scope: fc.subarray([...SCOPES]).map(scopes => [...scopes].sort().join(' ')),
        exp: fc.integer({ min: -10, max: 100 }).map(s => NOW_MS / 1_000 + s),
        nbf: fc.integer({ min: -90_000, max: 100 }).map(s => NOW_MS / 1_000 + s),
        depth: fc.integer({ min: 0, max: 5 }),
        role: fc.constantFrom('operator', 'node'),
      },
      { requiredKeys: [] },
    )
    let verified = 0
    fc.assert(
      fc.property(fc.constantFrom(1, 2), claims, (at, changed) => {
        const signer = everything.holders[at - 1]
        const chain = [...everything.chain]
        if (signer === undefined) throw new Error('no signer')
        chain[at] = resigned(chain[at] ?? '', signer, payload => ({ ...payload, ...changed }))
        const answer = look(everything, {}, chain)
        if (answer.verdict === 'flawed') return
        verified += 1
        // The one who signed anew had so much, and the one after it no more.
        const links = answer.delegation.links
        for (const [index, link] of links.entries()) {
          const before = links[index - 1]
          if (before === undefined) continue
          const role = parseRole(ROLES, answer.delegation.role)
          if (role === null) throw new Error('no role')
          const most = expandScopes(ROLES, role, before.scopes)
          expect([...expandScopes(ROLES, role, link.scopes)].filter(scope => !most.has(scope))).toEqual([])
          expect(link.expiresAtMs).toBeLessThanOrEqual(before.expiresAtMs)
          expect(link.depth).toBeLessThan(before.depth)
        }
      }),
      { numRuns: runs },
    )
    // Negative control: some were good, so that the property speaks of something.
    expect(verified).toBeGreaterThan(0)
  })
})
