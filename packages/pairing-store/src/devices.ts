import { meetScopes, missingScopes, parseRole, parseScopes, type Role } from '@holdfast/handshake'
import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import type { AuditAct } from './audit.ts'
import { authorityOf, everythingOf, lackingOf, type RoleAuthority, reachOf } from './authority.ts'
import { cleanName } from './device-name.ts'
import { stateOf } from './internal/audit-log.ts'
import { scopesToText } from './internal/rows.ts'
import { type DeviceTable, HELD_BY_RESTORE } from './internal/schema.ts'
import { readActor, readDevice, reloadDevice, type Transaction } from './internal/transaction.ts'
import type { DeviceAnswer, RevokeRegisteredAnswer } from './pairing-store.ts'
import type { Actor, DeviceRecord } from './records.ts'
import { closeRequest } from './requests.ts'
import { dropTokens } from './tokens.ts'

type TooSmall = Extract<DeviceAnswer, { outcome: 'approver-too-small' }>

/** A device by its whole id; anything else is unknown. */
export async function findTarget(tx: Transaction, deviceId: string): Promise<DeviceRecord | null> {
  const id = parseDeviceId(deviceId)
  return id === null ? null : readDevice(tx, id)
}

/** What was done to the device goes to the listeners and to the audit log. */
async function changed(
  tx: Transaction,
  before: DeviceRecord,
  { by, act, role = null }: { readonly by: Actor; readonly act: AuditAct; readonly role?: Role | null },
): Promise<DeviceAnswer> {
  const { deviceId } = before
  const device = await reloadDevice(tx, deviceId)
  tx.record({ kind: 'device-changed', deviceId })
  const [from, to] = [stateOf(before, role), stateOf(device, role)]
  tx.audit({ by, act, subject: deviceId, deviceId, role, from, to })
  return { outcome: 'changed', device }
}

/** `null`: the act is theirs to do. */
export async function tooSmall(
  tx: Transaction,
  by: Actor,
  touched: readonly RoleAuthority[],
): Promise<TooSmall | null> {
  if (by.kind === 'store-writer') return null
  const missing = lackingOf(tx.settings, by, await readActor(tx, by), touched)
  return missing === null ? null : { outcome: 'approver-too-small', missing }
}

export function isSelf(by: Actor, device: DeviceRecord): boolean {
  return by.kind === 'device' && by.deviceId === device.deviceId
}

export function nameOf(by: Actor): string {
  return by.kind === 'device' ? by.deviceId : by.kind
}

/** The label, cleaned. Its own label is a device's to choose. */
export async function renameDevice(
  tx: Transaction,
  deviceId: string,
  by: Actor,
  text: string,
): Promise<DeviceAnswer> {
  const device = await findTarget(tx, deviceId)
  if (device === null) return { outcome: 'unknown' }
  const refused = await tooSmall(tx, by, isSelf(by, device) ? [] : allOf(tx, device))
  if (refused !== null) return refused
  const name = cleanName(text)
  if (name === device.name) return { outcome: 'unchanged', device }
  await updateDevice(tx, device.deviceId, { name })
  return changed(tx, device, { by, act: 'device-renamed' })
}

/** A tombstone. What a person gave is gone for good; what is given after a reinstatement is given anew. */
export async function revokeDevice(
  tx: Transaction,
  deviceId: string,
  by: Actor,
  options: { readonly role: string | null; readonly keepRegistration: boolean },
): Promise<DeviceAnswer> {
  const device = await findTarget(tx, deviceId)
  if (device === null) return { outcome: 'unknown' }
  const role = options.role === null ? null : roleOf(tx, device, options.role)
  if (options.role !== null && role === null) return { outcome: 'role-unknown' }
  const touched = role === null ? allOf(tx, device) : authorityIn(tx, device, role)
  const refused = await tooSmall(tx, by, isSelf(by, device) ? [] : touched)
  if (refused !== null) return refused
  const roleRow = device.roles.find(each => each.role === role)
  // One that is held back only loses by it what it would have come back with.
  const held = role === null && (await isHeldBack(tx, device.deviceId))
  const already = (device.trust === 'revoked' && !held) || (roleRow?.revokedAtMs ?? null) !== null
  // Who leaves by itself is no reason to shut out the others of its machine.
  const closes = !options.keepRegistration && !isSelf(by, device)
  const closed = closes && (await closeRegistration(tx, device, by))
  if (already) {
    if (!closed) return { outcome: 'unchanged', device }
    return changed(tx, device, { by, act: 'device-revoked', role })
  }
  const tombstone = { revoked_at_ms: tx.nowMs, revoked_by: nameOf(by) }
  if (role === null) {
    await updateDevice(tx, device.deviceId, tombstone)
    await updateRoles(tx, device.deviceId, { grant_scopes: null })
  } else {
    await putRole(tx, device.deviceId, role, { ...tombstone, grant_scopes: null })
  }
  await dropTokens(tx, device.deviceId, role)
  await closeRequests(tx, device.deviceId, role)
  return changed(tx, device, { by, act: 'device-revoked', role })
}

/**
 * Every device that registered itself under this generation of the gateway token, and was not revoked yet; and nobody
 * registers under it any more. Their device tokens go with them.
 */
export async function revokeRegistered(
  tx: Transaction,
  generationId: string,
  by: Actor,
): Promise<RevokeRegisteredAnswer> {
  const { db } = tx.session
  const [known] = await tx.session.all(tx.queries.generation, { generationId })
  if (known === undefined) return { outcome: 'unknown' }
  await closeGenerations(tx, [generationId], { by })
  const registered = await db
    .selectFrom('device')
    .select('device_id')
    .where('generation_id', '=', generationId)
    .where('standing', '=', 'trusted-local')
    .where('revoked_at_ms', 'is', null)
    .execute()
  for (const { device_id } of registered) {
    await revokeDevice(tx, device_id, by, { role: null, keepRegistration: true })
  }
  return { outcome: 'revoked', deviceIds: registered.map(each => each.device_id as DeviceId) }
}

/** What the device may have at most in a role, until a person says otherwise. */
export async function narrowDevice(
  tx: Transaction,
  deviceId: string,
  by: Actor,
  options: { readonly role: string; readonly scopes: readonly string[] },
): Promise<DeviceAnswer> {
  const { table, ceiling } = tx.settings
  const device = await findTarget(tx, deviceId)
  if (device === null) return { outcome: 'unknown' }
  const role = parseRole(table, options.role)
  const own = device.roles.find(each => each.role === role)
  if (role === null || (own === undefined && device.trust === 'approved')) return { outcome: 'role-unknown' }
  const scopes = parseScopes(table, role, options.scopes)
  if (scopes === null) return { outcome: 'scope-unknown' }
  if (device.trust === 'revoked' || (own?.revokedAtMs ?? null) !== null) return { outcome: 'device-revoked' }
  const reach = reachOf(table, ceiling, device, role)
  const self = isSelf(by, device)
  const refused = await tooSmall(tx, by, self ? [] : [{ role, scopes: [...reach, ...scopes] }])
  if (refused !== null) return refused
  const before = own?.narrowedTo ?? null
  const added = before === null ? [] : missingScopes(table, role, before, scopes)
  if (self && added.length > 0) return { outcome: 'approver-too-small', missing: added }
  const grant = own?.grant ?? null
  const next = {
    narrowed_to: scopesToText(scopes),
    grant_scopes: grant === null ? null : scopesToText(meetScopes(table, role, grant, scopes)),
  }
  const same = before !== null && scopesToText(before) === next.narrowed_to
  if (same && (grant === null || scopesToText(grant) === next.grant_scopes))
    return { outcome: 'unchanged', device }
  await putRole(tx, device.deviceId, role, next)
  return changed(tx, device, { by, act: 'device-narrowed', role })
}

/** Lifts the tombstones of the device and of its roles. Grants stay gone, narrowings stay, registration stays closed. */
export async function reinstateDevice(tx: Transaction, deviceId: string, by: Actor): Promise<DeviceAnswer> {
  const device = await findTarget(tx, deviceId)
  if (device === null) return { outcome: 'unknown' }
  const everything = everythingOf(tx.settings.table, by)
  if (isSelf(by, device)) {
    return { outcome: 'approver-too-small', missing: everything.flatMap(each => each.scopes) }
  }
  const revived = device.roles.flatMap(({ role }) => authorityIn(tx, device, role))
  const refused = await tooSmall(tx, by, [...everything, ...revived])
  if (refused !== null) return refused
  const buried = device.trust === 'revoked' || device.roles.some(each => each.revokedAtMs !== null)
  if (!buried) return { outcome: 'unchanged', device }
  // What was revoked before the restoration stays so: that is lifted by another reinstatement.
  const held = await isHeldBack(tx, device.deviceId)
  await updateDevice(tx, device.deviceId, { revoked_at_ms: null, revoked_by: null })
  if (held) return changed(tx, device, { by, act: 'device-reinstated' })
  await updateRoles(tx, device.deviceId, { revoked_at_ms: null, revoked_by: null })
  return changed(tx, device, { by, act: 'device-reinstated' })
}

async function isHeldBack(tx: Transaction, deviceId: DeviceId): Promise<boolean> {
  const { db } = tx.session
  const held = db.selectFrom('device').select('device_id').where('device_id', '=', deviceId)
  return (await held.where('revoked_by', '=', HELD_BY_RESTORE).execute()).length > 0
}

export function allOf(tx: Transaction, device: DeviceRecord): readonly RoleAuthority[] {
  return authorityOf(tx.settings.table, tx.settings.ceiling, device)
}

function authorityIn(tx: Transaction, device: DeviceRecord, role: Role): readonly RoleAuthority[] {
  return [{ role, scopes: reachOf(tx.settings.table, tx.settings.ceiling, device, role) }]
}

/** A role of the table, or one that the device has though the table lost it. */
function roleOf(tx: Transaction, device: DeviceRecord, text: string): Role | null {
  return parseRole(tx.settings.table, text) ?? device.roles.find(({ role }) => role === text)?.role ?? null
}

async function updateDevice(
  tx: Transaction,
  deviceId: DeviceId,
  values: Partial<DeviceTable>,
): Promise<void> {
  await tx.session.db.updateTable('device').set(values).where('device_id', '=', deviceId).execute()
}

interface RoleValues {
  readonly grant_scopes?: string | null
  readonly narrowed_to?: string | null
  readonly revoked_at_ms?: number | null
  readonly revoked_by?: string | null
}

async function updateRoles(tx: Transaction, deviceId: DeviceId, values: RoleValues): Promise<void> {
  await tx.session.db.updateTable('device_role').set(values).where('device_id', '=', deviceId).execute()
}

async function putRole(tx: Transaction, deviceId: DeviceId, role: Role, values: RoleValues): Promise<void> {
  const none = { grant_scopes: null, narrowed_to: null, revoked_at_ms: null, revoked_by: null }
  await tx.session.db
    .insertInto('device_role')
    .values({ device_id: deviceId, role, ...none, ...values })
    .onConflict(conflict => conflict.columns(['device_id', 'role']).doUpdateSet(values))
    .execute()
}

/**
 * The program that was revoked can still read the gateway token: with a new key it would be back. So the generation that
 * it once showed registers nobody any more, and the current one neither, which it may have read since.
 * Returns whether one was open.
 */
async function closeRegistration(tx: Transaction, { deviceId }: DeviceRecord, by: Actor): Promise<boolean> {
  const { db } = tx.session
  const [shown] = await db
    .selectFrom('device')
    .select('generation_id')
    .where('device_id', '=', deviceId)
    .where('generation_id', 'is not', null)
    .execute()
  const generations = [shown?.generation_id, tx.store.current_generation].filter(id => typeof id === 'string')
  if (shown === undefined) return false
  return closeGenerations(tx, generations, { by, deviceId })
}

/** Nobody registers under these any more. Returns whether anybody could. */
async function closeGenerations(
  tx: Transaction,
  generations: readonly string[],
  note: { readonly by: Actor; readonly deviceId?: DeviceId },
): Promise<boolean> {
  const closed = await tx.session.db
    .updateTable('token_generation')
    .set({ registers: 0 })
    .where('generation_id', 'in', generations)
    .where('registers', '=', 1)
    .returning('generation_id')
    .execute()
  for (const { generation_id: subject } of closed) {
    const [from, to] = [{ registers: true }, { registers: false }]
    tx.audit({ ...note, act: 'registration-closed', subject, from, to })
  }
  return closed.length > 0
}

async function closeRequests(tx: Transaction, deviceId: DeviceId, role: Role | null): Promise<void> {
  let open = tx.session.db.selectFrom('request').select('request_id').where('device_id', '=', deviceId)
  if (role !== null) open = open.where('role', '=', role)
  for (const { request_id } of await open.execute()) {
    await closeRequest(tx, { requestId: request_id, deviceId }, 'device-revoked')
  }
}
