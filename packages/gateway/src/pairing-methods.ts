import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import { type DeviceRecord, type PairingStore, parseDeviceCursor, scopeReader } from '@holdfast/pairing-store'
import { isText, type Params, readParams } from './call-params.ts'
import {
  actorOf,
  answererOf,
  denied,
  deviceIdIn,
  deviceRevoked,
  invalid,
  missingScopes,
  unknownId,
} from './call-refusals.ts'
import { CallError, type Connection } from './connection.ts'
import type { GateMethod } from './methods.ts'
import { pairedEntry, pendingEntry } from './pairing-entries.ts'
import { revokeToken, rotateToken } from './token-methods.ts'

export interface PairingMethodsOptions {
  /** Who is connected now: `device.pair.list` says so of each device. @defaultValue it says nothing of it */
  readonly connectedDevices?: () => ReadonlySet<DeviceId>
}

/** What the author's table must have, for anybody to call these. */
const SCOPES = ['operator.pairing']
/** Most devices in one answer; the store has no larger pages. */
const MOST_DEVICES = 1_000

type Handle = (params: Params, connection: Connection) => Promise<unknown>

/**
 * The calls by which OpenClaw's clients look after devices: `device.pair.list`, `.approve`, `.reject`, `.remove`, and
 * `device.token.rotate`, `.revoke`. Spread them into a gate's `methods`; {@link startGateway} has them.
 *
 * Each needs `operator.pairing`, and acts as the device of its connection: nobody gives, takes or touches more than what
 * that device holds in the store at that moment, and in this connection. A peer without a device may look and answer
 * requests, within the scopes that the gate's author fixed for such; the audit log says `deviceless` of it.
 */
export function pairingMethods(
  store: PairingStore,
  options: PairingMethodsOptions = {},
): Readonly<Record<string, GateMethod>> {
  const method = (handle: Handle, known: readonly string[]): GateMethod => ({
    scopes: SCOPES,
    handle: (params, { connection }) => handle(readParams(params, known), connection),
  })
  return {
    'device.pair.list': method(params => list(store, options, params), ['limit', 'after', 'search']),
    'device.pair.approve': method(
      (params, connection) => approve(store, params, connection),
      ['requestId', 'expectedDigest'],
    ),
    'device.pair.reject': method((params, connection) => reject(store, params, connection), ['requestId']),
    'device.pair.remove': method(
      (params, connection) => remove(store, params, connection),
      ['deviceId', 'keepRegistration'],
    ),
    'device.token.rotate': method(
      (params, connection) => rotateToken(store, params, connection),
      ['deviceId', 'role', 'scopes'],
    ),
    'device.token.revoke': method(
      (params, connection) => revokeToken(store, params, connection),
      ['deviceId', 'role'],
    ),
  }
}

async function list(
  store: PairingStore,
  { connectedDevices }: PairingMethodsOptions,
  { limit = MOST_DEVICES, after, search = '' }: Params,
): Promise<unknown> {
  if (typeof limit !== 'number' || !Number.isSafeInteger(limit) || limit < 1 || limit > MOST_DEVICES) {
    throw invalid('limit')
  }
  if (!isText(search)) throw invalid('search')
  const parseCursor = search === '' ? parseDeviceId : parseDeviceCursor
  if (after !== undefined && (typeof after !== 'string' || parseCursor(after) === null))
    throw invalid('after')
  const requests = await store.listRequests({ limit: 1_000 })
  const devices = await store.listDevices({ limit, search, ...(after !== undefined && { after }) })
  const scopesOf = scopeReader(await store.getSettings())
  const connected = connectedDevices?.() ?? null
  const paired: unknown[] = []
  for (const device of devices.items) {
    if (device.trust === 'revoked') continue
    const tokens = await store.listDeviceTokens(device.deviceId)
    paired.push(pairedEntry(device, { tokens, scopesOf, connected }))
  }
  return { pending: requests.items.map(pendingEntry), paired, next: devices.next }
}

async function approve(
  store: PairingStore,
  { requestId, expectedDigest }: Params,
  connection: Connection,
): Promise<unknown> {
  const act = 'device pairing approval'
  const by = answererOf(connection, act)
  const request = isText(requestId) ? await store.findRequest(requestId) : null
  if (request === null) throw unknownId('requestId')
  if (expectedDigest !== undefined && !isText(expectedDigest)) throw invalid('expectedDigest')
  // A request never changes, so that its whole id says what is approved; the digest says it to whoever was shown it.
  const digest = expectedDigest ?? request.digest
  const answer = await store.approveRequest(request.requestId, { by, expectedDigest: digest })
  switch (answer.outcome) {
    case 'approved':
      return { requestId: request.requestId, device: await entryOf(store, answer.device) }
    case 'approver-too-small':
      if (request.deviceId === connection.deviceId) throw denied(act, 'OWN_REQUEST')
      throw missingScopes(connection, act, answer.missing)
    case 'digest-mismatch':
      throw new CallError('INVALID_REQUEST', 'not the request that was shown', {
        details: { code: 'DIGEST_MISMATCH' },
      })
    case 'device-revoked':
      throw deviceRevoked()
    default:
      throw unknownId('requestId')
  }
}

async function reject(store: PairingStore, { requestId }: Params, connection: Connection): Promise<unknown> {
  const act = 'device pairing rejection'
  const by = answererOf(connection, act)
  if (!isText(requestId)) throw unknownId('requestId')
  const answer = await store.rejectRequest(requestId, { by })
  switch (answer.outcome) {
    case 'rejected':
      return { requestId, deviceId: answer.request.deviceId }
    case 'approver-too-small':
      throw missingScopes(connection, act, answer.missing)
    default:
      throw unknownId('requestId')
  }
}

async function remove(
  store: PairingStore,
  { deviceId, keepRegistration = false }: Params,
  connection: Connection,
): Promise<unknown> {
  const act = 'device removal'
  const by = actorOf(connection, act)
  const id = deviceIdIn(deviceId)
  if (typeof keepRegistration !== 'boolean') throw invalid('keepRegistration')
  const answer = await store.revokeDevice(id, { by, keepRegistration })
  switch (answer.outcome) {
    case 'changed':
    case 'unchanged':
      return { deviceId: id, removedAtMs: answer.device.revokedAtMs }
    case 'approver-too-small':
      throw missingScopes(connection, act, answer.missing)
    default:
      throw unknownId('deviceId')
  }
}

async function entryOf(store: PairingStore, device: DeviceRecord): Promise<unknown> {
  const tokens = await store.listDeviceTokens(device.deviceId)
  return pairedEntry(device, { tokens, scopesOf: scopeReader(await store.getSettings()), connected: null })
}
