import { missingScopes, parseRole, parseScopes, type Role, type Scope } from '@holdfast/handshake'
import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import type { AuditAct, AuditState } from './audit.ts'
import { lackingOf, reachOf } from './authority.ts'
import { createDeviceToken, hashDeviceToken } from './internal/device-token.ts'
import type { DeviceTokenTable } from './internal/schema.ts'
import { readActor, readDevice, type Transaction } from './internal/transaction.ts'
import type { TokenAnswer } from './pairing-store.ts'
import type { Actor, DeviceRecord, IssuedToken } from './records.ts'

/** How long a token that another took the place of is still good: sibling processes have read it already. */
export const SIBLING_GRACE_MS = 60_000
/** How long a new token that was not used yet is not replaced by another. */
const SETTLE_MS = 5_000
/** How long the token of a rotation waits for its first use: an install that is switched off over a holiday comes back to it. */
export const PENDING_TTL_MS = 7 * 24 * 60 * 60_000

/** The device and role whose tokens are to change, and what the device may have there. */
interface Target {
  readonly device: DeviceRecord
  readonly role: Role
  readonly scopes: readonly Scope[]
}

type Refused = Exclude<TokenAnswer, { readonly outcome: 'issued' | 'rotated' | 'promised' | 'revoked' }>

/** What acting on another's tokens takes is what acting on its authority in that role takes. */
async function findTarget(
  tx: Transaction,
  deviceId: string,
  by: Actor,
  roleText: string,
): Promise<Target | Refused> {
  const id = parseDeviceId(deviceId)
  const device = id === null ? null : await readDevice(tx, id)
  if (device === null) return { outcome: 'unknown' }
  const { table, ceiling } = tx.settings
  const role = parseRole(table, roleText)
  const own = device.roles.find(each => each.role === role)
  if (role === null || (own === undefined && device.trust === 'approved')) return { outcome: 'role-unknown' }
  const scopes = [...new Set(reachOf(table, ceiling, device, role))].sort()
  const isSelf = by.kind === 'device' && by.deviceId === device.deviceId
  if (by.kind !== 'store-writer' && !isSelf) {
    const missing = lackingOf(tx.settings, by, await readActor(tx, by), [{ role, scopes }])
    if (missing !== null) return { outcome: 'approver-too-small', missing }
  }
  if (device.trust === 'revoked' || (own?.revokedAtMs ?? null) !== null) return { outcome: 'device-revoked' }
  return { device, role, scopes }
}

function isRefused(target: Target | Refused): target is Refused {
  return 'outcome' in target
}

async function findRow(tx: Transaction, deviceId: DeviceId, role: Role): Promise<DeviceTokenTable | null> {
  return (await tx.session.all(tx.queries.tokenOf, { deviceId, role }))[0] ?? null
}

interface TokenNote {
  readonly by: Actor | { readonly kind: 'device'; readonly deviceId: DeviceId }
  readonly act: Extract<AuditAct, `token-${string}`>
  readonly deviceId: DeviceId
  readonly role: Role
}

/** Changes the tokens of a role, and says so in the audit log: by their times, never by anything of theirs. */
async function noted<Result>(
  tx: Transaction,
  { by, act, deviceId, role }: TokenNote,
  change: () => Promise<Result>,
): Promise<Result> {
  const from = stateOfTokens(await findRow(tx, deviceId, role))
  const result = await change()
  const to = stateOfTokens(await findRow(tx, deviceId, role))
  tx.audit({ by, act, subject: deviceId, deviceId, role, from, to })
  return result
}

function stateOfTokens(row: DeviceTokenTable | null): AuditState | null {
  if (row === null) return null
  return { issuedAtMs: row.issued_at_ms, pendingAtMs: row.pending_at_ms, promisedAtMs: row.promised_at_ms }
}

/** A first token, where there is none. */
export async function issueDeviceToken(
  tx: Transaction,
  deviceId: string,
  by: Actor,
  role: string,
): Promise<TokenAnswer> {
  const target = await findTarget(tx, deviceId, by, role)
  if (isRefused(target)) return target
  const row = await findRow(tx, target.device.deviceId, target.role)
  if (row !== null) return { outcome: 'token-live' }
  const { role: held } = target
  const { deviceId: holder } = target.device
  const note = { by, act: 'token-issued', deviceId: holder, role: held } as const
  const issued = await noted(tx, note, () => putCurrent(tx, holder, held))
  return { outcome: 'issued', issued, scopes: target.scopes }
}

export interface RotationOptions {
  readonly role: string
  readonly scopes: readonly string[] | null
  readonly delivery: 'answer' | 'hello'
}

/** A token beside the current one, or the promise of one. */
export async function rotateDeviceToken(
  tx: Transaction,
  deviceId: string,
  by: Actor,
  options: RotationOptions,
): Promise<TokenAnswer> {
  const target = await findTarget(tx, deviceId, by, options.role)
  if (isRefused(target)) return target
  const tooWide = options.scopes === null ? null : beyond(tx, target, by, options.scopes)
  if (tooWide !== null) return tooWide
  const { device, role, scopes } = target
  const { deviceId: holder } = device
  const row = await findRow(tx, holder, role)
  if (row === null) return { outcome: 'token-absent' }
  if (options.delivery === 'hello') {
    const promised_at_ms = row.promised_at_ms ?? tx.nowMs
    const note = { by, act: 'token-promised', deviceId: holder, role } as const
    await noted(tx, note, () => updateRow(tx, holder, role, { promised_at_ms }))
    return { outcome: 'promised', scopes }
  }
  const retryAfterMs = settlesInMs(row, tx.nowMs)
  if (retryAfterMs > 0) return { outcome: 'rotation-pending', retryAfterMs }
  const note = { by, act: 'token-rotated', deviceId: holder, role } as const
  return { outcome: 'rotated', issued: await noted(tx, note, () => putPending(tx, holder, role)), scopes }
}

/**
 * How long the new token of a rotation that was made just now is left alone. Of two processes that rotate at once the
 * second would else make the token void that the first was just given, and both would take theirs for the good one.
 */
function settlesInMs({ pending_at_ms }: DeviceTokenTable, nowMs: number): number {
  const ageMs = pending_at_ms === null ? SETTLE_MS : nowMs - pending_at_ms
  // A clock that was set back holds nobody up.
  return ageMs < 0 ? 0 : Math.max(0, SETTLE_MS - ageMs)
}

/** Nobody rotates a token into more than the device has, nor names more than they hold themselves. */
function beyond(tx: Transaction, target: Target, by: Actor, texts: readonly string[]): Refused | null {
  const { table } = tx.settings
  const { role } = target
  const wished = parseScopes(table, role, texts)
  if (wished === null) return { outcome: 'scope-unknown' }
  const missing = new Set(missingScopes(table, role, target.scopes, wished))
  // Whoever acts from another role holds everything there, or is the device itself.
  if (by.kind !== 'store-writer' && by.role === role) {
    for (const scope of missingScopes(table, role, by.scopes, wished)) missing.add(scope)
  }
  return missing.size === 0 ? null : { outcome: 'approver-too-small', missing: [...missing].sort() }
}

/** All of them, at once. */
export async function revokeDeviceToken(
  tx: Transaction,
  deviceId: string,
  by: Actor,
  role: string,
): Promise<TokenAnswer> {
  const target = await findTarget(tx, deviceId, by, role)
  if (isRefused(target)) return target
  const { role: held } = target
  const { deviceId: holder } = target.device
  if ((await findRow(tx, holder, held)) === null) return { outcome: 'token-absent' }
  const note = { by, act: 'token-revoked', deviceId: holder, role: held } as const
  await noted(tx, note, () => dropTokens(tx, holder, held))
  return { outcome: 'revoked', revokedAtMs: tx.nowMs }
}

/** Of one role, or of all. */
export async function dropTokens(tx: Transaction, deviceId: DeviceId, role: Role | null): Promise<void> {
  let those = tx.session.db.deleteFrom('device_token').where('device_id', '=', deviceId)
  if (role !== null) those = those.where('role', '=', role)
  await those.execute()
}

/** What an admission under the gateway token hands out: the first token of the role, or the one that was promised. */
export async function handOutToken(tx: Transaction, deviceId: DeviceId, role: Role): Promise<IssuedToken> {
  const row = await findRow(tx, deviceId, role)
  const by = { kind: 'device', deviceId } as const
  if (row === null) {
    return noted(tx, { by, act: 'token-issued', deviceId, role }, () => putCurrent(tx, deviceId, role))
  }
  return noted(tx, { by, act: 'token-rotated', deviceId, role }, () => putPending(tx, deviceId, role))
}

async function putCurrent(tx: Transaction, deviceId: DeviceId, role: Role): Promise<IssuedToken> {
  const token = createDeviceToken()
  await tx.session.db
    .insertInto('device_token')
    .values({
      device_id: deviceId,
      role,
      current_hash: hashDeviceToken(token),
      issued_at_ms: tx.nowMs,
      pending_hash: null,
      pending_at_ms: null,
      pending_until_ms: null,
      previous_hash: null,
      previous_until_ms: null,
      promised_at_ms: null,
    })
    .execute()
  return { token, deviceId, role, issuedAtMs: tx.nowMs, expiresAtMs: null }
}

async function putPending(tx: Transaction, deviceId: DeviceId, role: Role): Promise<IssuedToken> {
  const token = createDeviceToken()
  const expiresAtMs = tx.nowMs + PENDING_TTL_MS
  await updateRow(tx, deviceId, role, {
    pending_hash: hashDeviceToken(token),
    pending_at_ms: tx.nowMs,
    pending_until_ms: expiresAtMs,
    promised_at_ms: null,
  })
  return { token, deviceId, role, issuedAtMs: tx.nowMs, expiresAtMs }
}

/** The pending token was used: the peer has it safe, so that it is the current one from now on. */
export async function promoteToken(tx: Transaction, deviceId: DeviceId, role: Role): Promise<void> {
  const row = await findRow(tx, deviceId, role)
  if (row === null || row.pending_hash === null) throw new Error('a pending token vanished in a transaction')
  const promoted = {
    current_hash: row.pending_hash,
    issued_at_ms: row.pending_at_ms ?? tx.nowMs,
    previous_hash: row.current_hash,
    previous_until_ms: tx.nowMs + SIBLING_GRACE_MS,
    pending_hash: null,
    pending_at_ms: null,
    pending_until_ms: null,
  }
  const by = { kind: 'device', deviceId } as const
  await noted(tx, { by, act: 'token-promoted', deviceId, role }, () =>
    updateRow(tx, deviceId, role, promoted),
  )
}

async function updateRow(
  tx: Transaction,
  deviceId: DeviceId,
  role: Role,
  values: Partial<DeviceTokenTable>,
): Promise<void> {
  await tx.session.db
    .updateTable('device_token')
    .set(values)
    .where('device_id', '=', deviceId)
    .where('role', '=', role)
    .execute()
}
