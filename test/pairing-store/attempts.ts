import { randomBytes } from 'node:crypto'
import {
  type AdmissionPolicy,
  BUILT_IN_ROLES,
  type ConnectionOrigin,
  defineRoles,
  gatewayTokenCommitment,
  type PresentedCredential,
  parseConnect,
  parseWish,
  type RoleTable,
  type Scope,
  signOpenClawProof,
  verifyOpenClawProof,
} from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import type { AdmissionAttempt } from '@holdfast/pairing-store'

export const ROLES = defineRoles(BUILT_IN_ROLES)

export function newToken(): string {
  return randomBytes(24).toString('base64url')
}

export function scopes(...names: string[]): readonly Scope[] {
  return names as Scope[]
}

export const CEILING = scopes('operator.read', 'operator.write', 'operator.approvals')

export const POLICY: AdmissionPolicy = {
  roles: ROLES,
  ceiling: CEILING,
  deviceless: null,
  allowOpenClawProof: false,
}
export const LOCAL: ConnectionOrigin = { source: '127.0.0.1', directLocal: true, originClass: 'none' }
export const REMOTE: ConnectionOrigin = { source: '203.0.113.7', directLocal: false, originClass: 'none' }

export interface Wished {
  readonly identity?: DeviceIdentity
  readonly role?: string
  readonly scopes?: readonly string[]
  /** Shown as the gateway token. */
  readonly token?: string
  readonly credential?: PresentedCredential
  readonly origin?: ConnectionOrigin
  readonly policy?: AdmissionPolicy
  readonly name?: string | null
  readonly nowMs?: number
  /** Shown as a device token. */
  readonly deviceToken?: string
  readonly handsOutToken?: boolean
  /** Sign, and then claim another platform. */
  readonly badlySigned?: boolean
}

/** A `connect` as a gate would have it: a frame that was sent, parsed, and whose signature was verified. */
export function attempt(wished: Wished = {}): AdmissionAttempt {
  const { role = 'operator', token, deviceToken, policy = POLICY, nowMs = Date.now() } = wished
  const asked = wished.scopes ?? ['operator.read']
  const { badlySigned = false } = wished
  const identity = wished.identity ?? createEphemeralIdentity()
  const frame = { identity, role, scopes: asked, token: deviceToken ?? token, nowMs, badlySigned }
  const wish = parseWish(policy.roles, role, asked)
  if (wish === null) throw new TypeError('a wish outside the table')
  return {
    frame: { ok: true, wish },
    proof: prove(frame, policy.roles),
    credential: wished.credential ?? credentialOf(wished),
    origin: wished.origin ?? LOCAL,
    policy,
    name: wished.name ?? null,
    claimedDeviceId: identity.id,
    ...(wished.handsOutToken !== undefined && { handsOutToken: wished.handsOutToken }),
  }
}

function credentialOf({ token, deviceToken }: Wished): PresentedCredential {
  if (deviceToken !== undefined) return { kind: 'device-token', token: deviceToken, via: 'deviceToken' }
  if (token === undefined) return { kind: 'none' }
  return { kind: 'gateway-token', commitment: gatewayTokenCommitment(token) }
}

interface Proven {
  readonly identity: DeviceIdentity
  readonly role: string
  readonly scopes: readonly string[]
  readonly token: string | undefined
  readonly nowMs: number
  readonly badlySigned: boolean
}

function prove(proven: Proven, roles: RoleTable) {
  const challenge = { nonce: randomBytes(18).toString('base64url'), ts: proven.nowMs }
  const client = {
    id: 'cli',
    mode: 'cli',
    version: '1.0.0',
    platform: 'linux',
    deviceFamily: null,
    displayName: null,
    instanceId: null,
  }
  const auth = { token: proven.token ?? null, deviceToken: null, bootstrapToken: null, password: null }
  const { identity, role } = proven
  const signed = signOpenClawProof({ identity, challenge, client, role, scopes: proven.scopes, auth })
  const { signedAtMs, ...device } = signed
  const { id, mode, version } = client
  const platform = proven.badlySigned ? 'another' : client.platform
  const text = JSON.stringify({
    type: 'req',
    id: '1',
    method: 'connect',
    params: {
      minProtocol: 3,
      maxProtocol: 4,
      client: { id, mode, version, platform },
      role,
      scopes: proven.scopes,
      ...(proven.token !== undefined && { auth: { token: proven.token } }),
      device: { ...device, signedAt: signedAtMs },
    },
  })
  const reading = parseConnect(text)
  if (!reading.ok) throw new TypeError(`a frame that does not parse: ${JSON.stringify(reading.problem)}`)
  if (reading.params.family !== 'openclaw') throw new TypeError('a frame of the other family')
  return verifyOpenClawProof(reading.params, { roles, nonce: challenge.nonce, nowMs: proven.nowMs })
}

const MANY_SCOPES = Array.from({ length: 8 * 50 }, (_, at) => `many.${Math.floor(at / 50)}.${at % 50}`)

/** A role with so many scopes that each of many processes can add one of its own to the same grant. */
export const MANY_SCOPES_ROLES = {
  ...BUILT_IN_ROLES,
  many: Object.fromEntries(MANY_SCOPES.map(scope => [scope, []])),
}
export const MANY_SCOPES_POLICY: AdmissionPolicy = {
  roles: defineRoles(MANY_SCOPES_ROLES),
  ceiling: CEILING,
  deviceless: null,
  allowOpenClawProof: false,
}
