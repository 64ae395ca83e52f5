import {
  BUILT_IN_ROLES,
  defineRoles,
  expandScopes,
  isHandshakeError,
  joinScopes,
  MAX_SCOPES,
  meetScopes,
  missingScopes,
  parseRole,
  parseScopes,
  parseWish,
  type Role,
  type RoleDeclarations,
  type RoleTable,
  reduceScopes,
  type Scope,
} from '@holdfast/handshake'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ROLES, RUNS } from './connect-frame.ts'

const operator = 'operator' as Role
const scopes = (...names: string[]) => names.map(name => `operator.${name}` as Scope)

/** A table with up to eight scopes and any implications, cycles and all. */
const tables = fc.integer({ min: 1, max: 8 }).chain(size => {
  const names = Array.from({ length: size }, (_, i) => `s${i}`)
  const implied = fc.oneof(
    { weight: 9, arbitrary: fc.subarray(names, { maxLength: Math.min(3, size) }) },
    { weight: 1, arbitrary: fc.constant('*' as const) },
  )
  return fc
    .tuple(...names.map(() => implied))
    .map(all => defineRoles({ operator: Object.fromEntries(names.map((name, i) => [name, all[i] ?? []])) }))
})

/** A table, and three lists of its scopes (with strangers, which count for nothing). */
const lists = tables.chain(table => {
  const names = [...(table.closures.get(operator)?.keys() ?? []), 'stranger' as Scope]
  const some = fc.subarray(names)
  return fc.tuple(fc.constant(table), some, some, some)
})

type Law = (table: RoleTable, a: readonly Scope[], b: readonly Scope[], c: readonly Scope[]) => void
const holds = (law: Law) =>
  fc.assert(
    fc.property(lists, args => {
      law(...args)
    }),
    { numRuns: RUNS },
  )
const closure = (table: RoleTable, of: Iterable<Scope>) => [...expandScopes(table, operator, of)].sort()
const within = (table: RoleTable, small: Iterable<Scope>, big: Iterable<Scope>) => {
  const held = expandScopes(table, operator, big)
  return [...expandScopes(table, operator, small)].every(scope => held.has(scope))
}

describe('laws of the scopes of any table', () => {
  test('expanding adds, never takes, and does so once', () =>
    holds((table, a) => {
      const once = closure(table, a)
      expect(once).toEqual(expect.arrayContaining(a.filter(scope => scope !== ('stranger' as Scope))))
      expect(closure(table, once as Scope[])).toEqual(once)
    }))

  test('reducing keeps the authority, also where scopes imply each other', () =>
    holds((table, a) => expect(closure(table, reduceScopes(table, operator, a))).toEqual(closure(table, a))))

  test('what is reduced holds nothing twice', () =>
    holds((table, a) => {
      const reduced = reduceScopes(table, operator, a)
      for (const scope of reduced) {
        const rest = reduced.filter(other => other !== scope)
        expect(missingScopes(table, operator, rest, [scope])).toEqual([scope])
      }
      expect(reduceScopes(table, operator, reduced)).toEqual(reduced)
    }))

  test('join is the least that covers both; meet the greatest that both cover', () =>
    holds((table, a, b, c) => {
      const join = joinScopes(table, operator, a, b)
      const meet = meetScopes(table, operator, a, b)
      for (const side of [a, b]) {
        expect(within(table, side, join)).toBe(true)
        expect(within(table, meet, side)).toBe(true)
      }
      if (within(table, a, c) && within(table, b, c)) expect(within(table, join, c)).toBe(true)
      if (within(table, c, a) && within(table, c, b)) expect(within(table, c, meet)).toBe(true)
    }))

  test('join and meet commute, associate, absorb and distribute', () =>
    holds((table, a, b, c) => {
      const join = (x: readonly Scope[], y: readonly Scope[]) => joinScopes(table, operator, x, y)
      const meet = (x: readonly Scope[], y: readonly Scope[]) => meetScopes(table, operator, x, y)
      expect(join(a, b)).toEqual(join(b, a))
      expect(meet(a, b)).toEqual(meet(b, a))
      expect(closure(table, join(join(a, b), c))).toEqual(closure(table, join(a, join(b, c))))
      expect(closure(table, meet(meet(a, b), c))).toEqual(closure(table, meet(a, meet(b, c))))
      expect(closure(table, join(a, meet(a, b)))).toEqual(closure(table, a))
      expect(closure(table, meet(a, join(a, b)))).toEqual(closure(table, a))
      expect(closure(table, meet(a, join(b, c)))).toEqual(closure(table, join(meet(a, b), meet(a, c))))
    }))

  test('nothing is missing exactly where the wish is within what is held', () =>
    holds((table, held, wished) => {
      const missing = missingScopes(table, operator, held, wished)
      expect(missingScopes(table, operator, [...held, ...missing], wished)).toEqual(
        missing.filter(scope => scope === ('stranger' as Scope)),
      )
      expect(missing.filter(scope => expandScopes(table, operator, held).has(scope))).toEqual([])
    }))
})

describe('the built-in table', () => {
  test('C2: write implies read and talk, admin implies all, and nothing else implies anything', () => {
    expect(closure(ROLES, scopes('write'))).toEqual(scopes('read', 'talk', 'write'))
    expect(closure(ROLES, scopes('admin'))).toEqual(Object.keys(BUILT_IN_ROLES['operator'] ?? {}).sort())
    for (const alone of ['read', 'approvals', 'pairing', 'questions', 'talk', 'talk.secrets']) {
      expect(closure(ROLES, scopes(alone))).toEqual(scopes(alone))
    }
  })

  test('C2: a scope that is implied already is not missing', () => {
    expect(missingScopes(ROLES, operator, scopes('write'), scopes('read', 'talk'))).toEqual([])
    expect(missingScopes(ROLES, operator, scopes('read'), scopes('write', 'read'))).toEqual(scopes('write'))
  })

  test('of two scopes that imply each other one stays', () => {
    const table = defineRoles({ operator: { a: ['b'], b: ['a'], c: [] } })
    const all = ['a', 'b', 'c'] as Scope[]
    expect(reduceScopes(table, operator, all)).toEqual(['a', 'c'])
    expect(closure(table, ['b' as Scope])).toEqual(['a', 'b'])
  })
})

describe('what the table does not know', () => {
  const gone = 'gone' as Role
  const stranger = 'stranger' as Scope

  test('of an unknown role nothing is held, nothing stays, and everything is missing', () => {
    const all = scopes('read', 'admin')
    expect(expandScopes(ROLES, gone, all)).toEqual(new Set())
    expect(reduceScopes(ROLES, gone, all)).toEqual([])
    expect(missingScopes(ROLES, gone, all, all)).toEqual(scopes('admin', 'read'))
    expect(parseScopes(ROLES, gone, [])).toBeNull()
    expect(parseScopes(ROLES, gone, ['operator.read'])).toBeNull()
  })

  test('an unknown scope is left out of what is reduced, and missing where it is wished for', () => {
    expect(reduceScopes(ROLES, operator, [stranger, ...scopes('read')])).toEqual(scopes('read'))
    expect(joinScopes(ROLES, operator, [stranger], scopes('read'))).toEqual(scopes('read'))
    expect(missingScopes(ROLES, operator, [stranger], [stranger])).toEqual([stranger])
  })
})

test('what is missing is sorted, and each of it once', () => {
  const wished = scopes('write', 'read', 'approvals', 'write')
  expect(missingScopes(ROLES, operator, [], wished)).toEqual(scopes('approvals', 'read', 'write'))
})

describe('H3 H7 H14: a wish is made of known names only', () => {
  test.each([
    ['an invented role', 'admin', []],
    ['a role of the prototype', '__proto__', []],
    ['a role of the prototype', 'constructor', []],
    ['a role with a pipe', 'operator|', []],
    ['an empty role', '', []],
    ['an invented scope', 'operator', ['operator.bogus']],
    ['a wildcard', 'operator', ['*']],
    ['a padded scope', 'operator', [' operator.admin ']],
    ['a scope in capitals', 'operator', ['OPERATOR.READ']],
    ['a scope of the prototype', 'operator', ['__proto__']],
    ['a scope of the prototype', 'operator', ['toString']],
    ['a joined scope', 'operator', ['operator.read,operator.admin']],
    ['a doubled scope', 'operator', ['operator.read', 'operator.read']],
    ['a scope of another role', 'node', ['operator.read']],
    ['2,000 invented scopes', 'operator', Array.from({ length: 2_000 }, (_, i) => `operator.x${i}`)],
  ])('refuses %s (%s)', (_, role, names) => {
    expect(parseWish(ROLES, role, names)).toBeNull()
  })

  test(`takes ${MAX_SCOPES} scopes, sorted, and not one more`, () => {
    const names = Array.from({ length: MAX_SCOPES + 1 }, (_, i) => `s${String(i).padStart(2, '0')}`)
    const table = defineRoles({ operator: Object.fromEntries(names.map(name => [name, []])) })
    const most = names.slice(0, MAX_SCOPES)
    expect(parseScopes(table, operator, [...most].reverse())).toEqual(most)
    expect(parseScopes(table, operator, names)).toBeNull()
  })

  test('a role without scopes can be wished for alone', () => {
    expect(parseWish(ROLES, 'node', [])).toEqual({ role: 'node', scopes: [] })
    expect(parseRole(ROLES, 'Node')).toBeNull()
  })
})

describe('a table of roles that is none', () => {
  const long = 'x'.repeat(65)

  test.each<[string, string, (readonly string[])?]>([
    ['no role', '{}'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a text', '"operator"'],
    ['a number', '7'],
    ['a role that is null', '{"operator":null}', ['operator']],
    ['a role that is a list', '{"operator":["read"]}', ['operator']],
    ['a role that is a number', '{"operator":7}', ['operator']],
    ['a role that is a truth', '{"operator":true}', ['operator']],
    ['an implication that is a number', '{"operator":{"read":1}}', ['operator', 'read']],
    ['an implication that is null', '{"operator":{"read":null}}', ['operator', 'read']],
    ['an implication that is a name', '{"operator":{"read":[],"write":"read"}}', ['operator', 'write']],
    ['an implication that points nowhere', '{"operator":{"read":["write"]}}', ['operator', 'read']],
    ['an implication to a prototype', '{"operator":{"read":["toString"]}}', ['operator', 'read']],
    ['an implication that is no name', '{"operator":{"read":[null]}}', ['operator', 'read']],
    ['a role outside the alphabet', '{"Operator":{}}', ['Operator']],
    ['a scope outside the alphabet', '{"operator":{"a,b":[]}}', ['operator', 'a,b']],
    ['an empty scope', '{"operator":{"":[]}}', ['operator', '""']],
    ['a scope of 65 letters', `{"operator":{"${long}":[]}}`, ['operator', long]],
  ])('%s: the error says where', (_, json, place = []) => {
    const declarations = JSON.parse(json) as RoleDeclarations
    try {
      defineRoles(declarations)
      expect.unreachable()
    } catch (error) {
      if (!isHandshakeError(error)) throw error
      expect(error.code).toBe('ROLES_INVALID')
      for (const name of place) expect(error.detail.reason).toContain(name)
    }
  })

  test('later changes of the declarations change nothing', () => {
    const declarations = { operator: { read: [] as string[], write: [] as string[] } }
    const table = defineRoles(declarations)
    declarations.operator.read.push('write')
    expect(closure(table, ['read' as Scope])).toEqual(['read'])
    expect(table.declarations).toEqual({ operator: { read: [], write: [] } })
  })
})
