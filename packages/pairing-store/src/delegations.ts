import type { DeviceId } from '@holdfast/identity'
import { allOf, findTarget, isSelf, nameOf, tooSmall } from './devices.ts'
import type { RevokedDelegationTable } from './internal/schema.ts'
import type { Transaction } from './internal/transaction.ts'
import type { RevokeDelegationAnswer } from './pairing-store.ts'
import type { Actor, RevokedDelegation } from './records.ts'

/** The id of one delegation (16 random bytes in base64url), or that of the key of a holder, as a device id is made. */
const SUBJECT = /^(?:[A-Za-z0-9_-]{21}[AQgw]|[0-9a-f]{64})$/

/**
 * Whoever holds the delegation, or a key that a delegation was given to, is shut out with everybody below. It is never
 * forgotten: a link may begin in the future, and a holder's key be given a new one.
 */
export async function revokeDelegation(
  tx: Transaction,
  deviceId: string,
  by: Actor,
  subject: string,
): Promise<RevokeDelegationAnswer> {
  if (!SUBJECT.test(subject)) return { outcome: 'subject-unknown' }
  const device = await findTarget(tx, deviceId)
  if (device === null) return { outcome: 'unknown' }
  const refused = await tooSmall(tx, by, isSelf(by, device) ? [] : allOf(tx, device))
  if (refused !== null) return refused
  const { db } = tx.session
  const row: RevokedDelegationTable = {
    device_id: device.deviceId,
    subject,
    revoked_at_ms: tx.nowMs,
    revoked_by: nameOf(by),
  }
  const [known] = await db
    .selectFrom('revoked_delegation')
    .selectAll()
    .where('device_id', '=', device.deviceId)
    .where('subject', '=', subject)
    .execute()
  if (known !== undefined) return { outcome: 'unchanged', revoked: toRevokedDelegation(known) }
  await db.insertInto('revoked_delegation').values(row).execute()
  tx.record({ kind: 'delegation-revoked', deviceId: device.deviceId, subject })
  const to = { revoked: true }
  tx.audit({ by, act: 'delegation-revoked', subject, deviceId: device.deviceId, from: null, to })
  return { outcome: 'revoked', revoked: toRevokedDelegation(row) }
}

export function toRevokedDelegation(row: RevokedDelegationTable): RevokedDelegation {
  return {
    deviceId: row.device_id as DeviceId,
    subject: row.subject,
    kind: row.subject.length === 64 ? 'holder' : 'delegation',
    revokedAtMs: row.revoked_at_ms,
  }
}
