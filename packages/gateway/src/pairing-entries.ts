import type { Role, Scope } from '@holdfast/handshake'
import { type DeviceId, formatPublicKey } from '@holdfast/identity'
import type { DeviceRecord, DeviceTokenRecord, RequestRecord } from '@holdfast/pairing-store'

/** A request, in the field names that OpenClaw's clients read, and what ours knows beside them. */
export function pendingEntry(request: RequestRecord): Readonly<Record<string, unknown>> {
  const { requestId, deviceId, role, scopes, missing, reason, digest, expiresAtMs } = request
  return {
    requestId,
    deviceId,
    publicKey: formatPublicKey(request.publicKey),
    ...present({ displayName: request.name, platform: request.platform }),
    clientId: request.clientId,
    role,
    roles: [role],
    scopes,
    remoteIp: request.source,
    silent: false,
    isRepair: reason !== 'not-paired',
    ts: request.createdAtMs,
    missing,
    reason,
    digest,
    expiresAtMs,
  }
}

/** What goes into an entry beside the device's record. */
export interface EntryFacts {
  readonly tokens: readonly DeviceTokenRecord[]
  readonly scopesOf: (device: DeviceRecord, role: Role) => readonly Scope[]
  /** `null`: it is not known who is connected. */
  readonly connected: ReadonlySet<DeviceId> | null
}

/**
 * A device, in the same field names. `scopes` is what it may have now, `approvedScopes` what a person gave; of its tokens
 * there is everything but the tokens.
 */
export function pairedEntry(device: DeviceRecord, facts: EntryFacts): Readonly<Record<string, unknown>> {
  const { deviceId, trust, roles, createdAtMs, registeredBy } = device
  const { scopesOf, connected } = facts
  const live = roles.filter(({ revokedAtMs }) => revokedAtMs === null)
  return {
    deviceId,
    publicKey: formatPublicKey(device.publicKey),
    ...present({
      displayName: device.name,
      platform: device.platform,
      deviceFamily: device.deviceFamily,
      clientId: device.clientId,
      clientMode: device.clientMode,
      role: live[0]?.role ?? null,
      lastSeenAtMs: device.lastSeenAtMs,
    }),
    roles: live.map(({ role }) => role),
    scopes: sorted(live.flatMap(({ role }) => scopesOf(device, role))),
    approvedScopes: sorted(live.flatMap(({ grant }) => grant ?? [])),
    tokens: facts.tokens.map(token => ({
      role: token.role,
      scopes: scopesOf(device, token.role),
      createdAtMs: token.issuedAtMs,
      ...(token.pending !== null && { rotatedAtMs: token.pending.issuedAtMs }),
    })),
    trust,
    approvedVia: registeredBy === 'local' || registeredBy === 'store-writer' ? 'silent' : 'owner',
    createdAtMs,
    ...(connected !== null && { connected: connected.has(deviceId) }),
  }
}

function sorted(scopes: readonly Scope[]): readonly Scope[] {
  return [...new Set(scopes)].sort()
}

/** Their clients know absent fields, and no `null`. */
function present(fields: Readonly<Record<string, string | number | null>>): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, string | number] => entry[1] !== null),
  )
}
