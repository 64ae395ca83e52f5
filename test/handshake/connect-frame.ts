import {
  type AuthClaim,
  BUILT_IN_ROLES,
  type ClientClaim,
  defineRoles,
  type OpenClawConnect,
  type ProofVerdict,
  parseConnect,
  signOpenClawProof,
  verifyOpenClawProof,
} from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'

/** How often a property is tried. */
export const RUNS = process.env['HOLDFAST_LONG'] ? 100_000 : 2_000

export const ROLES = defineRoles(BUILT_IN_ROLES)
export const NOW_MS = 1_767_225_600_000
export const NONCE = '6f1c2a34-8d5e-4b7a-9c01-23456789abcd'

export const CLIENT: ClientClaim = {
  id: 'cli',
  mode: 'cli',
  version: '1.0.0',
  platform: 'linux',
  deviceFamily: 'desktop',
  displayName: null,
  instanceId: null,
}

export const NO_AUTH: AuthClaim = { token: null, deviceToken: null, bootstrapToken: null, password: null }

/** A frame as a client sends it, still an object, for tests to change. */
export interface Frame {
  [field: string]: unknown
  params: Record<string, unknown>
}

export interface FrameOptions {
  readonly identity?: DeviceIdentity
  readonly client?: Partial<ClientClaim>
  readonly role?: string
  readonly scopes?: readonly string[]
  readonly auth?: Partial<AuthClaim>
  readonly ts?: number
  readonly nonce?: string
  readonly version?: 'v2' | 'v3'
}

/** A good `connect` of a new device, all of it signed. */
export function connectFrame(options: FrameOptions = {}): Frame {
  const identity = options.identity ?? createEphemeralIdentity()
  const client = { ...CLIENT, ...options.client }
  const role = options.role ?? 'operator'
  const scopes = options.scopes ?? ['operator.read', 'operator.write']
  const auth = { ...NO_AUTH, token: 'gateway-secret', ...options.auth }
  const challenge = { nonce: options.nonce ?? NONCE, ts: options.ts ?? NOW_MS }
  const version = options.version ?? 'v3'
  const { signedAtMs, ...device } = signOpenClawProof({
    identity,
    challenge,
    client,
    role,
    scopes,
    auth,
    version,
  })
  return {
    type: 'req',
    id: '1',
    method: 'connect',
    params: {
      minProtocol: 3,
      maxProtocol: 4,
      client: withoutNulls(client),
      role,
      scopes,
      auth: withoutNulls(auth),
      device: { ...device, signedAt: signedAtMs },
    },
  }
}

function withoutNulls(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null))
}

/** The parameters in a frame that must be good. */
export function paramsOf(frame: Frame): OpenClawConnect {
  const reading = parseConnect(JSON.stringify(frame))
  if (!reading.ok) throw new Error(`not a connect: ${JSON.stringify(reading.problem)}`)
  if (reading.params.family !== 'openclaw') throw new Error('a connect of the other family')
  return reading.params
}

/** The verdict of a gate whose challenge had this nonce, at this time. */
export function verdictOn(
  params: OpenClawConnect,
  gate: { readonly nonce?: string | null; readonly nowMs?: number } = {},
): ProofVerdict {
  return verifyOpenClawProof(params, { roles: ROLES, nonce: NONCE, nowMs: NOW_MS, ...gate })
}
