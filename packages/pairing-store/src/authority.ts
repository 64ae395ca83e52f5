import {
  defineRoles,
  meetScopes,
  missingScopes,
  type Role,
  type RoleTable,
  type Scope,
} from '@holdfast/handshake'
import { parseDeviceId } from '@holdfast/identity'
import type { Actor, DeviceRecord, DeviceRole, GatewaySettings } from './records.ts'

/** Authority in one role: what a decision about it is measured against. */
export interface RoleAuthority {
  readonly role: Role
  readonly scopes: readonly Scope[]
}

/** @throws TypeError where whoever acts is missing or malformed: there is no acting without saying as whom. */
export function assertActor(by: unknown): asserts by is Actor {
  const actor = typeof by === 'object' && by !== null ? (by as Record<string, unknown>) : {}
  if (actor['kind'] === 'store-writer') return
  const scopes = actor['scopes']
  const named =
    actor['kind'] === 'deviceless' ||
    (actor['kind'] === 'device' && parseDeviceId(actor['deviceId']) !== null)
  if (!named || typeof actor['role'] !== 'string' || !isTextList(scopes)) {
    throw new TypeError(
      'by: a store-writer, a device with its role and scopes, or role and scopes without one',
    )
  }
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every(each => typeof each === 'string')
}

/**
 * What whoever acts lacks of this authority; `null`: nothing, and the act is theirs to do. A store-writer holds
 * everything. A device holds what it says, as far as its record reaches that far *now*, in a role that it really has;
 * one that is unknown or revoked, or that holds no scope at all, does nothing to anybody.
 *
 * Another role it touches only as that role's overseer: it holds a scope that its own role declares as `'*'`, and the
 * other role has no such scope of its own. So an administrator of the operators looks after nodes, which have none; no
 * other role reaches across, however few scopes it has.
 */
export function lackingOf(
  { table, ceiling }: { readonly table: RoleTable; readonly ceiling: readonly string[] | null },
  by: Actor,
  actor: DeviceRecord | null,
  touched: readonly RoleAuthority[],
): readonly Scope[] | null {
  if (by.kind === 'store-writer') return null
  const held = by.kind === 'device' ? heldBy(table, ceiling, by, actor) : by.scopes
  const missing = new Set<Scope>()
  let allowed = held !== null && (held.length > 0 || touched.length === 0)
  for (const { role, scopes } of touched) {
    const own = role === by.role
    const oversees = !own && overseenBy(table, role, by.role, held ?? [])
    if (!own && !oversees) allowed = false
    const lacking = own ? missingScopes(table, role, held ?? [], scopes) : oversees ? [] : scopes
    for (const scope of lacking) missing.add(scope)
  }
  return allowed && missing.size === 0 ? null : [...missing].sort()
}

/** What a device that acts holds in the role that it acts in, or `null`: it does not have that role. */
function heldBy(
  table: RoleTable,
  ceiling: readonly string[] | null,
  by: Extract<Actor, { kind: 'device' }>,
  actor: DeviceRecord | null,
): readonly Scope[] | null {
  if (actor === null || actor.trust === 'revoked' || !table.closures.has(by.role)) return null
  const own = actor.roles.find(({ role }) => role === by.role)
  if ((own?.revokedAtMs ?? null) !== null) return null
  const reach = reachOf(table, ceiling, actor, by.role)
  const has = reach.length > 0 || (own?.grant ?? null) !== null
  return has ? meetScopes(table, by.role, by.scopes, reach) : null
}

/** Is `role` one that has no administrator of its own, and do these scopes of `overseer` make one of theirs? */
function overseenBy(table: RoleTable, role: Role, overseer: Role, held: readonly Scope[]): boolean {
  if (administrators(table, role).length > 0) return false
  return administrators(table, overseer).some(
    scope => missingScopes(table, overseer, held, [scope]).length === 0,
  )
}

/** The scopes that a role declares as everything (`'*'`). */
function administrators(table: RoleTable, role: Role): readonly Scope[] {
  const declared = Object.entries(table.declarations[role] ?? {})
  return declared.filter(([, implies]) => implies === '*').map(([scope]) => scope as Scope)
}

/** Every scope of the actor's own role: what is asked of a device before it lifts a tombstone. */
export function everythingOf(table: RoleTable, by: Actor): readonly RoleAuthority[] {
  if (by.kind === 'store-writer') return []
  return [{ role: by.role, scopes: [...(table.closures.get(by.role)?.keys() ?? [])] }]
}

/** All that a device may have in a role without asking anybody: its grant, and under local trust what the ceiling gives. */
export function reachOf(
  table: RoleTable,
  ceiling: readonly string[] | null,
  device: DeviceRecord,
  role: Role,
): readonly Scope[] {
  const own = device.roles.find(each => each.role === role)
  const known = table.closures.get(role)
  const grant = own?.grant ?? []
  if (device.trust !== 'trusted-local' || ceiling === null || known === undefined) return grant
  const within = (ceiling as readonly Scope[]).filter(scope => known.has(scope))
  const narrowed = own?.narrowedTo ?? null
  return [...grant, ...(narrowed === null ? within : meetScopes(table, role, within, narrowed))]
}

/**
 * How to tell what a device may have in a role without asking anybody, under these settings: its grant, and where it is
 * `trusted-local` what the ceiling leaves it. Of a revoked device or role: nothing.
 */
export function scopeReader({
  roles,
  ceiling,
}: GatewaySettings): (device: DeviceRecord, role: Role) => readonly Scope[] {
  const table = defineRoles(roles)
  return (device, role) => {
    const revokedAtMs = device.roles.find(each => each.role === role)?.revokedAtMs ?? device.revokedAtMs
    return revokedAtMs === null ? [...new Set(reachOf(table, ceiling, device, role))].sort() : []
  }
}

/** The same for every role that the device has, or could have under the ceiling. */
export function authorityOf(
  table: RoleTable,
  ceiling: readonly string[] | null,
  device: DeviceRecord,
): readonly RoleAuthority[] {
  const roles = new Set<Role>([...table.closures.keys(), ...device.roles.map(({ role }: DeviceRole) => role)])
  return [...roles]
    .map(role => ({ role, scopes: reachOf(table, ceiling, device, role) }))
    .filter(
      ({ role, scopes }) => scopes.length > 0 || device.roles.some(each => each.role === role && each.grant),
    )
}
