import { randomUUID } from 'node:crypto'
import {
  joinCodeKey,
  parseRole,
  parseScopes,
  type Role,
  type Scope,
  type VerifiedProof,
} from '@holdfast/handshake'
import { type DeviceId, deviceIdOf, type PublicKey } from '@holdfast/identity'
import { lackingOf } from './authority.ts'
import { cleanName } from './device-name.ts'
import { stateOf } from './internal/audit-log.ts'
import { createJoinCode, hashJoinCode } from './internal/join-code.ts'
import { insertDevice } from './internal/new-device.ts'
import { scopesFromText, scopesToText } from './internal/rows.ts'
import type { JoinCodeTable } from './internal/schema.ts'
import { readActor, readDevice, reloadDevice, type Transaction } from './internal/transaction.ts'
import type { JoinCodeAnswer, PreregisterAnswer, WithdrawAnswer } from './pairing-store.ts'
import type { Actor, DeviceRecord, JoinCodeRecord } from './records.ts'
import { giveScopes, isRequestId } from './requests.ts'

/** How long a join code is good at most, and unless less is asked for. */
export const JOIN_CODE_TTL_MS = 10 * 60_000
/** Most codes at a time that nobody has spent. */
const MOST_OPEN_CODES = 1_000

/** What somebody is to be let in with, before they ever come. */
export interface Invitation {
  readonly role: string
  readonly scopes: readonly string[]
  readonly name?: string
}

type Refused = Extract<JoinCodeAnswer & PreregisterAnswer, { outcome: string }>

interface Wished {
  readonly role: Role
  readonly scopes: readonly Scope[]
}

/** What giving this takes is what approving a request for it takes. */
async function check(tx: Transaction, by: Actor, invitation: Invitation): Promise<Wished | Refused> {
  const { table } = tx.settings
  const role = parseRole(table, invitation.role)
  if (role === null) return { outcome: 'role-unknown' }
  const scopes = parseScopes(table, role, invitation.scopes)
  if (scopes === null) return { outcome: 'scope-unknown' }
  const missing = lackingOf(tx.settings, by, await readActor(tx, by), [{ role, scopes }])
  if (missing !== null) return { outcome: 'approver-too-small', missing }
  return { role, scopes }
}

export async function makeJoinCode(
  tx: Transaction,
  by: Actor,
  options: Invitation & { readonly ttlMs: number },
): Promise<JoinCodeAnswer> {
  const wished = await check(tx, by, options)
  if ('outcome' in wished) return wished
  const { db } = tx.session
  await db.deleteFrom('join_code').where('expires_at_ms', '<=', tx.nowMs).execute()
  const open = await db.selectFrom('join_code').select('code_id').where('spent_by', 'is', null).execute()
  if (open.length >= MOST_OPEN_CODES) return { outcome: 'codes-full' }
  const code = createJoinCode()
  const { role, scopes } = wished
  const row: JoinCodeTable = {
    code_id: randomUUID(),
    code_hash: hashJoinCode(code) ?? '',
    join_key: joinCodeKey(code),
    role,
    scopes: scopesToText(scopes),
    name: cleanName(options.name),
    created_at_ms: tx.nowMs,
    expires_at_ms: tx.nowMs + options.ttlMs,
    spent_by: null,
    spent_at_ms: null,
  }
  await db.insertInto('join_code').values(row).execute()
  const joinCode = toJoinCode(row)
  const to = { scopes, expiresAtMs: joinCode.expiresAtMs, name: joinCode.name }
  tx.audit({ by, act: 'join-code-made', subject: row.code_id, role, from: null, to })
  return { outcome: 'made', code, joinCode }
}

/** One that was spent is withdrawn too: it can be shown no more, and what it gave stays. */
export async function withdrawJoinCode(tx: Transaction, codeId: string, by: Actor): Promise<WithdrawAnswer> {
  const { db } = tx.session
  const [row] = isRequestId(codeId)
    ? await db.selectFrom('join_code').selectAll().where('code_id', '=', codeId).execute()
    : []
  if (row === undefined || row.expires_at_ms <= tx.nowMs) return { outcome: 'unknown' }
  const joinCode = toJoinCode(row)
  const { role, scopes } = joinCode
  const wished = await check(tx, by, { role, scopes })
  if ('outcome' in wished && wished.outcome === 'approver-too-small') return wished
  await db.deleteFrom('join_code').where('code_id', '=', codeId).execute()
  const from = { scopes: joinCode.scopes, spentBy: joinCode.spentBy }
  tx.audit({ by, act: 'join-code-withdrawn', subject: codeId, role: joinCode.role, from, to: null })
  return { outcome: 'withdrawn', joinCode }
}

/** A device is known, with this grant, before it ever connects. */
export async function preregisterDevice(
  tx: Transaction,
  by: Actor,
  options: Invitation & { readonly publicKey: PublicKey },
): Promise<PreregisterAnswer> {
  const wished = await check(tx, by, options)
  if ('outcome' in wished) return wished
  const { publicKey, name = null } = options
  const deviceId = deviceIdOf(publicKey)
  const known = await readDevice(tx, deviceId)
  if (known !== null) {
    return known.trust === 'revoked' ? { outcome: 'device-revoked' } : { outcome: 'known', device: known }
  }
  const registeredBy = 'preregistration'
  await insertDevice(tx, {
    deviceId,
    publicKey,
    name,
    standing: 'approved',
    registeredBy,
    generationId: null,
    client: null,
  })
  await giveScopes(tx, { deviceId, ...wished }, null)
  const device = await noteApproved(tx, deviceId, { by, role: wished.role, before: null })
  return { outcome: 'registered', device }
}

/** Rule 10a: the device has what the code gives from now on, and nobody else can have it. */
export async function spendJoinCode(
  tx: Transaction,
  row: JoinCodeTable,
  { proof, name }: { readonly proof: VerifiedProof; readonly name: string | null },
): Promise<void> {
  const { deviceId, publicKey, client } = proof
  const before = await readDevice(tx, deviceId)
  if (before === null) {
    // The label that a person put on the code says more than the one that the device has for itself.
    const label = row.name ?? name
    const known = { deviceId, publicKey, client, name: label, generationId: null }
    await insertDevice(tx, { ...known, standing: 'approved', registeredBy: 'join-code' })
  }
  const role = row.role as Role
  await giveScopes(tx, { deviceId, role, scopes: scopesFromText(row.scopes) }, before)
  const spent = { spent_by: deviceId, spent_at_ms: tx.nowMs }
  await tx.session.db.updateTable('join_code').set(spent).where('code_id', '=', row.code_id).execute()
  const by = { kind: 'device', deviceId } as const
  tx.audit({
    by,
    act: 'join-code-spent',
    subject: row.code_id,
    deviceId,
    role,
    from: { spentBy: null },
    to: { spentBy: deviceId },
    rule: '10a',
  })
  await noteApproved(tx, deviceId, { by, role, before, rule: '10a' })
}

async function noteApproved(
  tx: Transaction,
  deviceId: DeviceId,
  note: {
    readonly by: Actor | { readonly kind: 'device'; readonly deviceId: DeviceId }
    readonly role: Role
    readonly before: DeviceRecord | null
    readonly rule?: string
  },
): Promise<DeviceRecord> {
  const { role, before, ...rest } = note
  tx.record({ kind: 'device-changed', deviceId })
  const device = await reloadDevice(tx, deviceId)
  const [from, to] = [stateOf(before, role), stateOf(device, role)]
  tx.audit({ ...rest, act: 'device-approved', subject: deviceId, deviceId, role, from, to })
  return device
}

export function toJoinCode(row: JoinCodeTable): JoinCodeRecord {
  return {
    codeId: row.code_id,
    role: row.role as Role,
    scopes: scopesFromText(row.scopes),
    name: row.name,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    spentBy: row.spent_by as DeviceId | null,
    spentAtMs: row.spent_at_ms,
  }
}
