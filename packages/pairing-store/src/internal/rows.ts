import type { Role, Scope } from '@holdfast/handshake'
import { type DeviceId, type PublicKey, parsePublicKey } from '@holdfast/identity'
import type { StoreChange } from '../changes.ts'
import type {
  DeviceRecord,
  DeviceRole,
  DeviceTokenRecord,
  RequestRecord,
  TokenGeneration,
} from '../records.ts'
import type { DeviceRoleRow } from './queries.ts'
import type { ChangeTable, DeviceTokenTable, RequestTable, TokenGenerationTable } from './schema.ts'

/** Scopes as one column. Their alphabet has no blank. */
export function scopesToText(scopes: readonly string[]): string {
  return [...scopes].sort().join(' ')
}

export function scopesFromText(text: string): readonly Scope[] {
  return text === '' ? [] : (text.split(' ') as Scope[])
}

export function scopesOrNull(text: string | null): readonly Scope[] | null {
  return text === null ? null : scopesFromText(text)
}

function keyFromText(text: string): PublicKey {
  const key = parsePublicKey(text)
  if (key === null) throw new RowError('public_key')
  return key
}

/** A row that this package cannot have written. */
export class RowError extends Error {
  constructor(column: string, options?: ErrorOptions) {
    super(`a stored ${column} is not one`, options)
  }
}

/** The devices in rows of devices joined with their roles, in the order of the rows. */
export function toDevices(rows: readonly DeviceRoleRow[]): DeviceRecord[] {
  const devices = new Map<string, DeviceRecord & { roles: DeviceRole[] }>()
  for (const row of rows) {
    const device = devices.get(row.device_id) ?? { ...toDevice(row), roles: [] }
    devices.set(row.device_id, device)
    if (row.role === null) continue
    device.roles.push({
      role: row.role as Role,
      grant: scopesOrNull(row.grant_scopes),
      narrowedTo: scopesOrNull(row.narrowed_to),
      revokedAtMs: row.role_revoked_at_ms,
    })
  }
  return [...devices.values()]
}

function toDevice(row: DeviceRoleRow): Omit<DeviceRecord, 'roles'> {
  return {
    deviceId: row.device_id as DeviceId,
    publicKey: keyFromText(row.public_key),
    name: row.name,
    trust: row.revoked_at_ms === null ? row.standing : 'revoked',
    clientId: row.client_id,
    clientMode: row.client_mode,
    platform: row.platform,
    deviceFamily: row.device_family,
    registeredBy: row.registered_by,
    createdAtMs: row.created_at_ms,
    lastSeenAtMs: row.last_seen_at_ms,
    revokedAtMs: row.revoked_at_ms,
    holdfastProvenAtMs: row.holdfast_proven_at_ms,
  }
}

export function toRequest(row: RequestTable): RequestRecord {
  return {
    requestId: row.request_id,
    deviceId: row.device_id as DeviceId,
    publicKey: keyFromText(row.public_key),
    role: row.role as Role,
    scopes: scopesFromText(row.scopes),
    missing: scopesFromText(row.missing),
    reason: row.reason,
    name: row.name,
    clientId: row.client_id,
    platform: row.platform,
    originClass: row.origin_class,
    source: row.source,
    digest: row.digest,
    createdAtMs: row.created_at_ms,
    lastSeenAtMs: row.last_seen_at_ms,
    expiresAtMs: row.expires_at_ms,
  }
}

/** A pending one whose time is over is none. */
export function toDeviceToken(row: DeviceTokenTable, nowMs: number): DeviceTokenRecord {
  const { pending_at_ms: issuedAtMs, pending_until_ms: expiresAtMs } = row
  const waits = issuedAtMs !== null && expiresAtMs !== null && nowMs < expiresAtMs
  return {
    deviceId: row.device_id as DeviceId,
    role: row.role as Role,
    issuedAtMs: row.issued_at_ms,
    pending: waits ? { issuedAtMs, expiresAtMs } : null,
    promisedAtMs: row.promised_at_ms,
  }
}

/** `current`: the generation of the gateway token as it is now. An older one registers nobody. */
export function toGeneration(row: TokenGenerationTable, current: string | null): TokenGeneration {
  return {
    generationId: row.generation_id,
    createdAtMs: row.created_at_ms,
    registers: row.registers === 1 && row.generation_id === current,
  }
}

/** A change out of the log, or `null` for a kind that a newer version wrote. */
export function toChange(row: ChangeTable): StoreChange | null {
  const { sequence, kind } = row
  const subject = row.subject ?? ''
  const deviceId = (row.device_id ?? '') as DeviceId
  switch (kind) {
    case 'device-changed':
      return { sequence, kind, deviceId }
    case 'request-opened':
      return { sequence, kind, requestId: subject, deviceId }
    case 'request-closed':
      return { sequence, kind, requestId: subject, deviceId, outcome: row.outcome as never }
    case 'delegation-revoked':
      return { sequence, kind, deviceId, subject }
    case 'gateway-token-changed':
      return { sequence, kind, generationId: subject }
    case 'settings-changed':
      return { sequence, kind }
    default:
      return null
  }
}
