import { HandshakeError } from './errors.ts'

declare const roleBrand: unique symbol
declare const scopeBrand: unique symbol

/** A role that the gateway's table knows, `operator` for one. Made by {@link parseWish} or {@link parseRole}. */
export type Role = string & { readonly [roleBrand]: true }

/** A scope that the table knows for its role, `operator.read` for one. Made by {@link parseWish} or {@link parseScopes}. */
export type Scope = string & { readonly [scopeBrand]: true }

/** What a peer asks for. `scopes` are sorted and without duplicates, known to the table, and may be empty. */
export interface Wish {
  readonly role: Role
  readonly scopes: readonly Scope[]
}

/**
 * What an author writes down: for each role its closed set of scopes, and for each scope what it implies
 * (`'*'`: everything of the role). Plain JSON, so it can be kept in a file and in a store.
 */
export type RoleDeclarations = Readonly<Record<string, Readonly<Record<string, readonly string[] | '*'>>>>

/** A checked table of roles. Made by {@link defineRoles}. */
export interface RoleTable {
  /** The declarations it was made from. */
  readonly declarations: RoleDeclarations
  /** For each role and scope: everything that holding the scope amounts to, itself included. */
  readonly closures: ReadonlyMap<Role, ReadonlyMap<Scope, ReadonlySet<Scope>>>
}

/** The alphabet of ids, roles and scopes. Holding fields to it is what makes joined strings unambiguous. */
export const NAME_PATTERN = /^[a-z0-9._:-]{1,64}$/

/** A wish names at most this many scopes. */
export const MAX_SCOPES = 32

/** The roles and scopes of the OpenClaw gateway protocol: write implies read and talk, admin implies all. */
export const BUILT_IN_ROLES: RoleDeclarations = {
  operator: {
    'operator.read': [],
    'operator.write': ['operator.read', 'operator.talk'],
    'operator.admin': '*',
    'operator.approvals': [],
    'operator.pairing': [],
    'operator.questions': [],
    'operator.talk': [],
    'operator.talk.secrets': [],
  },
  node: {},
}

/**
 * A checked table from an author's declarations, which may come out of a file.
 *
 * @throws {@link HandshakeError} `ROLES_INVALID`: not of that shape, a name outside its alphabet, an implied scope that is
 * not declared, or no role at all.
 */
export function defineRoles(declarations: RoleDeclarations): RoleTable {
  const closures = new Map<Role, ReadonlyMap<Scope, ReadonlySet<Scope>>>()
  for (const [role, scopes] of entriesOf(declarations, 'the declarations')) {
    if (!NAME_PATTERN.test(role)) throw invalid(`role ${JSON.stringify(role)}`)
    closures.set(role as Role, closuresOf(role, scopes))
  }
  if (closures.size === 0) throw invalid('no role is declared')
  return { declarations: structuredClone(declarations), closures }
}

function closuresOf(role: string, scopes: RoleDeclarations[string]): Map<Scope, Set<Scope>> {
  const declared = new Map(entriesOf(scopes, `role ${role}`))
  const implied = new Map<string, readonly string[]>()
  for (const [scope, implies] of declared) {
    if (!NAME_PATTERN.test(scope)) throw invalid(`scope ${JSON.stringify(scope)} of role ${role}`)
    const targets = implies === '*' ? [...declared.keys()] : implies
    if (!Array.isArray(targets)) throw invalid(`what ${scope} of role ${role} implies is no list`)
    const stray = targets.findIndex(target => !declared.has(target))
    if (stray >= 0) throw invalid(`${scope} of role ${role} implies what is not declared (entry ${stray})`)
    implied.set(scope, targets)
  }
  return new Map([...declared.keys()].map(name => [name as Scope, reach(name, implied)]))
}

function entriesOf<T>(value: Readonly<Record<string, T>>, what: string): [string, T][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what}: no object`)
  return Object.entries(value)
}

function invalid(reason: string): HandshakeError {
  return new HandshakeError('ROLES_INVALID', { reason })
}

function reach(from: string, implied: ReadonlyMap<string, readonly string[]>): Set<Scope> {
  const seen = new Set<Scope>()
  const open = [from]
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (seen.has(name as Scope)) continue
    seen.add(name as Scope)
    open.push(...(implied.get(name) ?? []))
  }
  return seen
}

/** The role of that name, or `null` where the table has none. */
export function parseRole(table: RoleTable, text: string): Role | null {
  return table.closures.has(text as Role) ? (text as Role) : null
}

/** The scopes of that role, sorted, or `null` where one is unknown, doubled, or there are more than {@link MAX_SCOPES}. */
export function parseScopes(table: RoleTable, role: Role, texts: readonly string[]): readonly Scope[] | null {
  const known = table.closures.get(role)
  if (known === undefined || texts.length > MAX_SCOPES || new Set(texts).size !== texts.length) return null
  return texts.every(text => known.has(text as Scope)) ? ([...texts].sort() as Scope[]) : null
}

/** The wish that these texts say, or `null` where the table does not know it. Nothing is trimmed or folded. */
export function parseWish(table: RoleTable, roleText: string, scopeTexts: readonly string[]): Wish | null {
  const role = parseRole(table, roleText)
  if (role === null) return null
  const scopes = parseScopes(table, role, scopeTexts)
  return scopes === null ? null : { role, scopes }
}

/** Everything that holding `scopes` amounts to. A scope of another role counts for nothing. */
export function expandScopes(table: RoleTable, role: Role, scopes: Iterable<Scope>): ReadonlySet<Scope> {
  const known = table.closures.get(role)
  const held = new Set<Scope>()
  for (const scope of scopes) for (const each of known?.get(scope) ?? []) held.add(each)
  return held
}

/** The wished scopes that holding `held` does not amount to, sorted. */
export function missingScopes(
  table: RoleTable,
  role: Role,
  held: Iterable<Scope>,
  wished: Iterable<Scope>,
): readonly Scope[] {
  const known = table.closures.get(role)
  const reached = [...held].map(scope => known?.get(scope))
  const missing = [...wished].filter(scope => !reached.some(each => each?.has(scope)))
  return missing.length === 0 ? missing : [...new Set(missing)].sort()
}

/**
 * The same authority in the fewest words: no scope that the others imply. Sorted; of scopes that imply each other the
 * first stays, and what the table does not know is left out.
 */
export function reduceScopes(table: RoleTable, role: Role, scopes: Iterable<Scope>): readonly Scope[] {
  const kept = [...new Set(scopes)].filter(scope => table.closures.get(role)?.has(scope)).sort()
  for (const scope of [...kept].reverse()) {
    const rest = kept.filter(other => other !== scope)
    if (expandScopes(table, role, rest).has(scope)) kept.splice(kept.indexOf(scope), 1)
  }
  return kept
}

/** What either gives: the least authority that covers both. */
export function joinScopes(
  table: RoleTable,
  role: Role,
  left: Iterable<Scope>,
  right: Iterable<Scope>,
): readonly Scope[] {
  return reduceScopes(table, role, [...left, ...right])
}

/** What both give: the greatest authority that either covers. */
export function meetScopes(
  table: RoleTable,
  role: Role,
  left: Iterable<Scope>,
  right: Iterable<Scope>,
): readonly Scope[] {
  const both = expandScopes(table, role, right)
  return reduceScopes(
    table,
    role,
    [...expandScopes(table, role, left)].filter(scope => both.has(scope)),
  )
}
