import type { DeviceId } from '@holdfast/identity'
import type { RequestOutcome } from '../changes.ts'
import type { Session } from './sql-driver.ts'

/** A change that the transaction will have made when it is committed. */
export type PendingChange =
  | { readonly kind: 'device-changed'; readonly deviceId: DeviceId }
  | { readonly kind: 'request-opened'; readonly requestId: string; readonly deviceId: DeviceId }
  | {
      readonly kind: 'request-closed'
      readonly requestId: string
      readonly deviceId: DeviceId
      readonly outcome: RequestOutcome
    }
  | { readonly kind: 'delegation-revoked'; readonly deviceId: DeviceId; readonly subject: string }
  | { readonly kind: 'gateway-token-changed'; readonly generationId: string }
  | { readonly kind: 'settings-changed' }

/** How many changes are kept for those who read them late, and how often the older ones are dropped. */
const KEPT = 10_000
const DROP_EVERY = 256

/**
 * Write the changes of a transaction to the log, in the next numbers. Drawing them locks the store's row, so that the order
 * of numbers is the order of commits on every back end.
 */
export async function appendChanges(session: Session, changes: readonly PendingChange[]): Promise<void> {
  if (changes.length === 0) return
  const { db } = session
  const { last_sequence: last } = await db
    .updateTable('store')
    .set(eb => ({ last_sequence: eb('last_sequence', '+', changes.length) }))
    .returning('last_sequence')
    .executeTakeFirstOrThrow()
  const first = last - changes.length + 1
  for (const [index, change] of changes.entries()) {
    await db
      .insertInto('change_log')
      .values({
        sequence: first + index,
        kind: change.kind,
        subject: subjectOf(change),
        device_id: 'deviceId' in change ? change.deviceId : null,
        outcome: 'outcome' in change ? change.outcome : null,
      })
      .execute()
  }
  if (Math.floor(first / DROP_EVERY) !== Math.floor((last + 1) / DROP_EVERY)) await drop(session, last - KEPT)
}

function subjectOf(change: PendingChange): string | null {
  if ('requestId' in change) return change.requestId
  if ('subject' in change) return change.subject
  return 'generationId' in change ? change.generationId : null
}

async function drop({ db }: Session, through: number): Promise<void> {
  if (through <= 0) return
  await db.deleteFrom('change_log').where('sequence', '<=', through).execute()
  await db.updateTable('store').set({ dropped_through: through }).execute()
}
