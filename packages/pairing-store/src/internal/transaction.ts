import { defineRoles, type RoleDeclarations, type RoleTable } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { Actor, DeviceRecord, GatewaySettings } from '../records.ts'
import type { PendingEntry } from './audit-log.ts'
import type { PendingChange } from './change-log.ts'
import type { Queries } from './queries.ts'
import { RowError, toDevices } from './rows.ts'
import type { StoreTable } from './schema.ts'
import type { Session } from './sql-driver.ts'

/** What a mutation works with: everything it reads and writes is of this one transaction. */
export interface Transaction {
  readonly session: Session
  readonly queries: Queries
  readonly nowMs: number
  /** Requests whose time was over when the transaction began; they are gone. */
  readonly expired: ReadonlySet<string>
  readonly store: StoreTable
  /** What the rules for persons are measured by: settings as the gate wrote them, or the defaults before its first start. */
  readonly settings: ReadSettings
  readonly record: (change: PendingChange) => void
  /** Written to the audit log when the transaction is committed, or it is not committed. */
  readonly audit: (entry: PendingEntry) => void
}

export interface ReadSettings extends GatewaySettings {
  /** Has a gate ever written them? */
  readonly written: boolean
  readonly table: RoleTable
}

/** The settings in the store's row. */
export function readSettings(store: StoreTable | undefined, defaults: RoleDeclarations): ReadSettings {
  const text = store?.settings ?? null
  if (text === null) return { roles: defaults, ceiling: null, written: false, table: tableOf(defaults) }
  const { roles, ceiling } = parseSettings(text)
  return { roles, ceiling, written: true, table: tableOf(roles) }
}

function parseSettings(text: string): GatewaySettings {
  try {
    return JSON.parse(text) as GatewaySettings
  } catch (cause) {
    throw new RowError('settings', { cause })
  }
}

const tables = new Map<string, RoleTable>()

// A table is a function of its text, so that keeping the last few keeps no fact of authority.
function tableOf(roles: RoleDeclarations): RoleTable {
  const text = JSON.stringify(roles)
  const kept = tables.get(text)
  if (kept !== undefined) return kept
  const table = defineRoles(roles)
  if (tables.size >= 8) tables.clear()
  tables.set(text, table)
  return table
}

export async function readDevice(
  { session, queries }: Transaction,
  deviceId: DeviceId,
): Promise<DeviceRecord | null> {
  return toDevices(await session.all(queries.deviceById, { deviceId }))[0] ?? null
}

/** The record of whoever acts; `null` where there is none. */
export async function readActor(tx: Transaction, by: Actor): Promise<DeviceRecord | null> {
  return by.kind === 'device' ? readDevice(tx, by.deviceId) : null
}

/** A device that is known to be there. */
export async function reloadDevice(tx: Transaction, deviceId: DeviceId): Promise<DeviceRecord> {
  const device = await readDevice(tx, deviceId)
  if (device === null) throw new Error('a device vanished inside a transaction')
  return device
}
