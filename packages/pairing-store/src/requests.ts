import { randomUUID } from 'node:crypto'
import {
  type Decision,
  joinScopes,
  type RoleTable,
  type Scope,
  type VerifiedProof,
} from '@holdfast/handshake'
import { formatPublicKey } from '@holdfast/identity'
import { lackingOf } from './authority.ts'
import type { RequestOutcome } from './changes.ts'
import { cleanName } from './device-name.ts'
import { stateOf } from './internal/audit-log.ts'
import { scopesToText, toRequest } from './internal/rows.ts'
import type { RequestTable } from './internal/schema.ts'
import { readActor, readDevice, reloadDevice, type Transaction } from './internal/transaction.ts'
import type { AdmissionAttempt, ApproveAnswer, RejectAnswer } from './pairing-store.ts'
import type { Actor, DeviceRecord, RequestRecord } from './records.ts'
import { requestDigest } from './request-digest.ts'

/** A request lives this long after its device was last seen asking, and no longer than a day in all. */
export const REQUEST_TTL_MS = 10 * 60_000
export const REQUEST_MAX_AGE_MS = 24 * 60 * 60_000
/** A retry within this time of the last one is not written down: a device that hammers costs no disk. */
export const RETRY_GRAIN_MS = 1_000

const REQUEST_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** A whole request id: never a prefix, never another spelling. */
export function isRequestId(text: unknown): text is string {
  return typeof text === 'string' && REQUEST_ID.test(text)
}

function expiryOf(createdAtMs: number, seenAtMs: number): number {
  return Math.min(seenAtMs + REQUEST_TTL_MS, createdAtMs + REQUEST_MAX_AGE_MS)
}

/** Was this request seen so lately that a retry need not be written? */
export function isFresh(request: RequestTable, nowMs: number): boolean {
  const age = nowMs - request.last_seen_at_ms
  return age >= 0 && age < RETRY_GRAIN_MS
}

/** Write down that somebody has to be asked. */
export async function openRequest(
  tx: Transaction,
  attempt: AdmissionAttempt,
  proof: VerifiedProof,
  decision: Extract<Decision, { outcome: 'ask' }>,
): Promise<RequestRecord> {
  const { wish, client, deviceId, publicKey } = proof
  const snapshot = {
    requestId: randomUUID(),
    publicKey,
    role: wish.role,
    scopes: wish.scopes,
    name: cleanName(attempt.name),
    originClass: attempt.origin.originClass,
  }
  const row: RequestTable = {
    request_id: snapshot.requestId,
    device_id: deviceId,
    public_key: formatPublicKey(publicKey),
    role: wish.role,
    scopes: scopesToText(wish.scopes),
    missing: scopesToText(decision.missing),
    reason: decision.reason,
    name: snapshot.name,
    client_id: client.id,
    client_mode: client.mode,
    platform: client.platform,
    device_family: client.deviceFamily,
    origin_class: attempt.origin.originClass,
    source: attempt.origin.source,
    token_shown: decision.facts.credential.kind === 'gateway-token' ? 1 : 0,
    digest: requestDigest(tx.store.store_id, snapshot),
    created_at_ms: tx.nowMs,
    last_seen_at_ms: tx.nowMs,
    expires_at_ms: expiryOf(tx.nowMs, tx.nowMs),
  }
  await tx.session.db.insertInto('request').values(row).execute()
  tx.record({ kind: 'request-opened', requestId: row.request_id, deviceId })
  return toRequest(row)
}

/** The device asks again: the same request lives on, and nobody is told a second time. */
export async function refreshRequest(tx: Transaction, open: RequestTable): Promise<RequestRecord> {
  if (isFresh(open, tx.nowMs)) return toRequest(open)
  const times = { last_seen_at_ms: tx.nowMs, expires_at_ms: expiryOf(open.created_at_ms, tx.nowMs) }
  await tx.session.db.updateTable('request').set(times).where('request_id', '=', open.request_id).execute()
  return toRequest({ ...open, ...times })
}

/** Take a request off the list, with what came of it. */
export async function closeRequest(
  tx: Transaction,
  request: Pick<RequestRecord, 'requestId' | 'deviceId'>,
  outcome: RequestOutcome,
): Promise<void> {
  const { requestId, deviceId } = request
  await tx.session.db.deleteFrom('request').where('request_id', '=', requestId).execute()
  tx.record({ kind: 'request-closed', requestId, deviceId, outcome })
}

async function findOpen(tx: Transaction, requestId: string): Promise<RequestTable | 'unknown' | 'expired'> {
  if (!isRequestId(requestId)) return 'unknown'
  if (tx.expired.has(requestId)) return 'expired'
  const rows = await tx.session.all(tx.queries.requestById, { requestId, nowMs: tx.nowMs })
  return rows[0] ?? 'unknown'
}

/** A person says yes to exactly what they were shown. */
export async function approveRequest(
  tx: Transaction,
  requestId: string,
  by: Actor,
  expectedDigest: string,
): Promise<ApproveAnswer> {
  const row = await findOpen(tx, requestId)
  if (typeof row === 'string') return { outcome: row }
  const request = toRequest(row)
  const device = await readDevice(tx, request.deviceId)
  const missing = await lackingToAnswer(tx, request, by, 'approve')
  if (missing !== null) return { outcome: 'approver-too-small', missing }
  // Over the row as it is now, so that a row that was tampered with does not match what was shown either.
  const digest = requestDigest(tx.store.store_id, request)
  if (digest !== expectedDigest || digest !== row.digest) return { outcome: 'digest-mismatch' }
  const role = device?.roles.find(each => each.role === request.role)
  if (device?.trust === 'revoked' || (role?.revokedAtMs ?? null) !== null)
    return { outcome: 'device-revoked' }
  if (device === null) await addApproved(tx, row)
  await giveScopes(tx, request, device)
  await closeRequest(tx, request, 'approved')
  const { deviceId, role: wished } = request
  tx.record({ kind: 'device-changed', deviceId })
  const approved = await reloadDevice(tx, deviceId)
  const [from, to] = [stateOf(device, wished), stateOf(approved, wished)]
  tx.audit({ by, act: 'request-approved', subject: requestId, deviceId, role: wished, from, to, digest })
  return { outcome: 'approved', request, device: approved }
}

/** A person says no. The device may ask again. */
export async function rejectRequest(tx: Transaction, requestId: string, by: Actor): Promise<RejectAnswer> {
  const row = await findOpen(tx, requestId)
  if (typeof row === 'string') return { outcome: row }
  const request = toRequest(row)
  const missing = await lackingToAnswer(tx, request, by, 'reject')
  if (missing !== null) return { outcome: 'approver-too-small', missing }
  await closeRequest(tx, request, 'rejected')
  const { deviceId, role, digest } = request
  const from = { wish: request.scopes }
  tx.audit({ by, act: 'request-rejected', subject: requestId, deviceId, role, from, to: null, digest })
  return { outcome: 'rejected', request }
}

async function lackingToAnswer(
  tx: Transaction,
  request: RequestRecord,
  by: Actor,
  act: 'approve' | 'reject',
): Promise<readonly Scope[] | null> {
  if (by.kind === 'store-writer') return null
  // Its own wish is a device's to withdraw, never to grant: a session under the ceiling would make itself permanent.
  if (by.kind === 'device' && by.deviceId === request.deviceId)
    return act === 'reject' ? null : request.scopes
  const touched = [{ role: request.role, scopes: request.scopes }]
  return lackingOf(tx.settings, by, await readActor(tx, by), touched)
}

async function addApproved(tx: Transaction, row: RequestTable): Promise<void> {
  await tx.session.db
    .insertInto('device')
    .values({
      device_id: row.device_id,
      public_key: row.public_key,
      name: row.name,
      standing: 'approved',
      registered_by: 'request',
      // It showed the gateway token when it asked, and can show it again under another key.
      generation_id: row.token_shown === 1 ? tx.store.current_generation : null,
      client_id: row.client_id,
      client_mode: row.client_mode,
      platform: row.platform,
      device_family: row.device_family,
      created_at_ms: tx.nowMs,
      last_seen_at_ms: null,
      revoked_at_ms: null,
      revoked_by: null,
    })
    .execute()
}

/** Adds a wish to the device's live grant for that role. */
export async function giveScopes(
  tx: Transaction,
  request: Pick<RequestRecord, 'deviceId' | 'role' | 'scopes'>,
  device: DeviceRecord | null,
): Promise<void> {
  const live = device?.roles.find(({ role }) => role === request.role)?.grant ?? []
  const grant_scopes = scopesToText(widenedGrant(tx.settings.table, request, live))
  await tx.session.db
    .insertInto('device_role')
    .values({
      device_id: request.deviceId,
      role: request.role,
      grant_scopes,
      narrowed_to: null,
      revoked_at_ms: null,
      revoked_by: null,
    })
    .onConflict(conflict => conflict.columns(['device_id', 'role']).doUpdateSet({ grant_scopes }))
    .execute()
}

// A scope that the table does not know today stays: a grant never shrinks by a change of the program.
function widenedGrant(
  table: RoleTable,
  { role, scopes }: Pick<RequestRecord, 'role' | 'scopes'>,
  live: readonly Scope[],
): readonly Scope[] {
  const known = table.closures.get(role)
  const unknown = [...live, ...scopes].filter(scope => !known?.has(scope))
  return [...new Set([...joinScopes(table, role, live, scopes), ...unknown])]
}
