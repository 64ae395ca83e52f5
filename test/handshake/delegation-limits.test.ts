import {
  type DelegationCaveats,
  idsIn,
  isVerifiedDelegation,
  isVerifiedProof,
  MAX_DELEGATION_BYTES,
  MAX_DELEGATION_LINKS,
  MAX_DELEGATION_TTL_MS,
  rootOf,
} from '@holdfast/handshake'
import { describe, expect, test } from 'vitest'
import { chainOf, look } from './chains.ts'

const flawed = (flaw: string, link: number) => ({ verdict: 'flawed', flaw, link })

describe('a chain at a bound, which is within it', () => {
  test(`of ${MAX_DELEGATION_LINKS} links is verified`, () => {
    const answer = look(chainOf(...Array.from({ length: MAX_DELEGATION_LINKS }, () => ({}))))
    expect(answer).toMatchObject({ verdict: 'verified', delegation: { links: { length: 4 } } })
  })

  test(`of ${MAX_DELEGATION_BYTES} bytes is read, and of one byte more is not`, () => {
    const text = 'x'.repeat(MAX_DELEGATION_BYTES)
    const made = chainOf({})
    expect(look(made, {}, [text])).toEqual(flawed('malformed', 1))
    expect(look(made, {}, [text.slice(1), 'yy'])).toEqual(flawed('chain-too-large', 0))
  })

  test('good for a whole day is verified', () => {
    expect(look(chainOf({ ttlMs: MAX_DELEGATION_TTL_MS })).verdict).toBe('verified')
  })
})

describe('what a link is held to beside its scopes', () => {
  test.each<[string, Partial<DelegationCaveats>, Partial<DelegationCaveats>, 'verified' | 'flawed']>([
    ['fewer connections', { connections: 2 }, { connections: 1 }, 'verified'],
    ['as many connections', { connections: 2 }, { connections: 2 }, 'verified'],
    ['no word of connections', { connections: 2 }, {}, 'verified'],
    ['a first word of connections', {}, { connections: 3 }, 'verified'],
    ['more connections', { connections: 2 }, { connections: 3 }, 'flawed'],
    ['fewer calls', { calls: ['health', 'wake'] }, { calls: ['wake'] }, 'verified'],
    ['the same calls', { calls: ['health'] }, { calls: ['health'] }, 'verified'],
    ['no word of calls', { calls: ['health'] }, {}, 'verified'],
    ['a first word of calls', {}, { calls: ['health'] }, 'verified'],
    ['another call', { calls: ['health'] }, { calls: ['wake'] }, 'flawed'],
  ])('%s', (_, outer, inner, verdict) => {
    const answer = look(chainOf({ caveats: outer }, { caveats: inner }))
    expect(answer.verdict).toBe(verdict)
    if (answer.verdict === 'flawed') expect(answer).toEqual(flawed('caveats-widened', 2))
  })
})

describe('what is looked up before anything is verified', () => {
  const { chain, last } = chainOf({})
  const [link = ''] = chain

  test('no chain, and one whose first link is none, stem from nobody', () => {
    for (const nobodys of [[], [''], ['a.b.c'], ['a.b.c', link]]) expect(rootOf(nobodys)).toBeNull()
  })

  test('a link that is none has no ids, and hides none of the others', () => {
    const ids = idsIn(chain)
    expect(ids).toContain(last.id)
    expect(idsIn(['', link, 'a.b.c'])).toEqual(ids)
    expect(idsIn(['a.b.c'])).toEqual([])
  })

  test('of a chain that is too long no more links than are allowed', () => {
    expect(idsIn(Array.from({ length: MAX_DELEGATION_LINKS + 1 }, () => link))).toHaveLength(
      MAX_DELEGATION_LINKS * 2,
    )
  })
})

test('nothing but an object of this process was ever verified', () => {
  for (const nothing of [undefined, null, 7, '', 'x', Symbol('x'), [], {}]) {
    expect(isVerifiedDelegation(nothing)).toBe(false)
    expect(isVerifiedProof(nothing)).toBe(false)
  }
})
