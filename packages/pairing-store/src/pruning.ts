import type { DeviceId } from '@holdfast/identity'
import { stateOf } from './internal/audit-log.ts'
import { reloadDevice, type Transaction } from './internal/transaction.ts'
import type { Actor } from './records.ts'
import { closeRequest } from './requests.ts'

/** How many devices go in one transaction: others that write wait for no longer than that takes. */
export const PRUNED_AT_ONCE = 500

/**
 * Forget devices that were last seen, or made, before this time: each is as unknown as before it first came. Never one of
 * which something was taken away: without its tombstone, its narrowing or its revoked delegations it could come back with more.
 */
export async function pruneDevices(
  tx: Transaction,
  by: Actor,
  beforeMs: number,
): Promise<readonly DeviceId[]> {
  const { db } = tx.session
  const old = await db
    .selectFrom('device')
    .select('device_id')
    .where('revoked_at_ms', 'is', null)
    .where(eb => eb(eb.fn.coalesce('last_seen_at_ms', 'created_at_ms'), '<', beforeMs))
    .where(eb =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('device_role')
            .select('device_role.role')
            .whereRef('device_role.device_id', '=', 'device.device_id')
            .where(role =>
              role.or([role('revoked_at_ms', 'is not', null), role('narrowed_to', 'is not', null)]),
            ),
        ),
      ),
    )
    .where(eb =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('revoked_delegation')
            .select('revoked_delegation.subject')
            .whereRef('revoked_delegation.device_id', '=', 'device.device_id'),
        ),
      ),
    )
    .orderBy('device_id')
    .limit(PRUNED_AT_ONCE)
    .execute()
  for (const { device_id } of old) await forget(tx, by, device_id as DeviceId)
  return old.map(each => each.device_id as DeviceId)
}

async function forget(tx: Transaction, by: Actor, deviceId: DeviceId): Promise<void> {
  const { db } = tx.session
  const device = await reloadDevice(tx, deviceId)
  const open = await db.selectFrom('request').select('request_id').where('device_id', '=', deviceId).execute()
  for (const { request_id: requestId } of open) await closeRequest(tx, { requestId, deviceId }, 'expired')
  await db.deleteFrom('device_token').where('device_id', '=', deviceId).execute()
  await db.deleteFrom('device_role').where('device_id', '=', deviceId).execute()
  await db.deleteFrom('device').where('device_id', '=', deviceId).execute()
  tx.record({ kind: 'device-changed', deviceId })
  const from = { ...stateOf(device), lastSeenAtMs: device.lastSeenAtMs }
  tx.audit({ by, act: 'device-pruned', subject: deviceId, deviceId, from, to: null })
}
