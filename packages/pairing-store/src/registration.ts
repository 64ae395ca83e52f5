import { randomBytes } from 'node:crypto'
import {
  type AdmissionFacts,
  decide,
  gatewayTokenCommitment,
  parseRole,
  type Role,
  signOpenClawProof,
  type VerifiedProof,
  verifyOpenClawProof,
} from '@holdfast/handshake'
import type { DeviceIdentity, PublicKey } from '@holdfast/identity'
import { readFacts } from './internal/admission-facts.ts'
import { stateOf } from './internal/audit-log.ts'
import { insertDevice } from './internal/new-device.ts'
import { reloadDevice, type Transaction } from './internal/transaction.ts'
import type { AdmissionAttempt, RegisterAnswer } from './pairing-store.ts'
import type { DeviceRecord } from './records.ts'

/** A device to be known from now on, because it showed the gateway token. */
export interface NewLocalDevice {
  readonly deviceId: VerifiedProof['deviceId']
  readonly publicKey: PublicKey
  readonly role: Role
  readonly name: string | null
  readonly client: VerifiedProof['client'] | null
  readonly registeredBy: 'local' | 'store-writer'
  readonly generationId: string
  /** The canonical address it came from. */
  readonly source: string
}

/** Write it down as `trusted-local`, in a transaction in which the rules said so. */
export async function registerDevice(tx: Transaction, device: NewLocalDevice): Promise<DeviceRecord> {
  await insertDevice(tx, { ...device, standing: 'trusted-local' })
  await tx.session.db
    .insertInto('device_role')
    .values({
      device_id: device.deviceId,
      role: device.role,
      grant_scopes: null,
      narrowed_to: null,
      revoked_at_ms: null,
      revoked_by: null,
    })
    .execute()
  const { deviceId, role, registeredBy, generationId, source } = device
  tx.record({ kind: 'device-changed', deviceId })
  const registered = await reloadDevice(tx, deviceId)
  tx.audit({
    by: registeredBy === 'local' ? { kind: 'device', deviceId } : { kind: 'store-writer' },
    act: 'device-registered',
    subject: deviceId,
    deviceId,
    role,
    from: null,
    to: { ...stateOf(registered), generationId, source },
    rule: '10',
  })
  return registered
}

export interface LocalRegistration {
  readonly identity: DeviceIdentity
  readonly gatewayToken: string
  readonly role: string
  readonly name?: string
}

/**
 * Register the identity of whoever may write the store. That stands for the facts about a connection (direct, local);
 * all else is asked of the same rules as over the wire.
 */
export async function registerLocal(tx: Transaction, options: LocalRegistration): Promise<RegisterAnswer> {
  const role = parseRole(tx.settings.table, options.role)
  if (role === null) return { outcome: 'refused', reason: 'role-unknown' }
  const generationId = gatewayTokenCommitment(options.gatewayToken)
  const attempt = localAttempt(tx, options, role, generationId)
  const decision = decide((await readFacts(tx, attempt, tx.nowMs)).facts)
  const { device } = decision.facts
  if (decision.outcome === 'refused') {
    const revoked = decision.refusal.code === 'device-revoked'
    return { outcome: 'refused', reason: revoked ? 'device-revoked' : 'token-mismatch' }
  }
  if (device !== null) return { outcome: 'known', device: await reloadDevice(tx, options.identity.id) }
  if (decision.outcome === 'admitted') {
    const { id: deviceId, publicKey } = options.identity
    const name = options.name ?? null
    const { source } = attempt.origin
    const fresh = { deviceId, publicKey, role, name, client: null, generationId, source }
    return {
      outcome: 'registered',
      device: await registerDevice(tx, { ...fresh, registeredBy: 'store-writer' }),
    }
  }
  return { outcome: 'refused', reason: closedBecause(decision.facts) }
}

function closedBecause({ credential }: AdmissionFacts): 'registration-closed' | 'local-trust-off' {
  const open = credential.kind === 'gateway-token' && credential.registers
  return open ? 'local-trust-off' : 'registration-closed'
}

/** A `connect` that asks for the bare role, proven on a nonce of ours: what was signed cannot have been made elsewhere. */
function localAttempt(
  tx: Transaction,
  options: LocalRegistration,
  role: Role,
  commitment: string,
): AdmissionAttempt {
  const { table, written, ceiling } = tx.settings
  const challenge = { nonce: randomBytes(24).toString('base64url'), ts: tx.nowMs }
  const client = { ...STORE_WRITER, platform: process.platform }
  const auth = { token: null, deviceToken: null, bootstrapToken: null, password: null }
  const { identity } = options
  const device = signOpenClawProof({ identity, challenge, client, role, scopes: [], auth })
  const params = { minProtocol: 1, maxProtocol: 1, client, role, scopes: [], auth, device }
  const context = { roles: table, nonce: challenge.nonce, nowMs: tx.nowMs }
  // Before a gate's first start nobody has switched local trust off; what the device then gets is the gate's to say.
  const everything = [...(table.closures.get(role)?.keys() ?? [])]
  const current = tx.store.current_generation === commitment
  return {
    frame: { ok: true, wish: { role, scopes: [] } },
    proof: verifyOpenClawProof(params, context),
    credential: current
      ? { kind: 'gateway-token', commitment }
      : { kind: 'wrong', presented: 'gateway-token' },
    origin: { source: 'store-writer', directLocal: true, originClass: 'none' },
    policy: {
      roles: table,
      ceiling: written ? (ceiling as never) : everything,
      deviceless: null,
      // The proof is made and checked here, on a nonce of ours: what the device once proved on a wire is not asked.
      allowOpenClawProof: true,
    },
    name: options.name ?? null,
  }
}

const STORE_WRITER = {
  id: 'store-writer',
  mode: 'local',
  version: '0',
  deviceFamily: null,
  displayName: null,
  instanceId: null,
}
