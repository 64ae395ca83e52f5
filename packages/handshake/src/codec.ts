import { METADATA_PATTERN, NONCE_PATTERN, SECRET_PATTERN } from './internal/alphabets.ts'
import {
  anyText,
  type FieldProblem,
  ignored,
  integer,
  isObject,
  isProblem,
  list,
  nested,
  optional,
  readObject,
  shapeOf,
  text,
} from './internal/fields.ts'
import { readHoldfastClaim } from './internal/holdfast-fields.ts'
import type {
  AuthClaim,
  CallFrame,
  ClientClaim,
  ConnectParams,
  EventFrame,
  OpenClawConnect,
  PeerError,
  ResponseFrame,
} from './messages.ts'
import { MAX_SCOPES, NAME_PATTERN } from './scopes.ts'

/** Why a frame is not a `connect` of ours. */
export type FrameProblem =
  | { readonly kind: 'not-json' }
  /** JSON, but not `{ type: 'req', id, method, params? }`. */
  | { readonly kind: 'not-a-request' }
  /** A call of another method. */
  | { readonly kind: 'not-connect' }
  /** `field` names the place (`client.platform`), never what stands there. */
  | { readonly kind: 'field'; readonly field: string; readonly problem: 'unknown' | 'invalid' }

export type ConnectReading =
  | { readonly ok: true; readonly id: string; readonly params: ConnectParams }
  /** `id` is the call's id where it could be read, so that the refusal can be answered. */
  | { readonly ok: false; readonly id: string | null; readonly problem: FrameProblem }

const callId = text(/^[\x21-\x7e]{1,128}$/)
const name = text(NAME_PATTERN)
const metadata = text(METADATA_PATTERN)
const secret = text(SECRET_PATTERN)

const callShape = shapeOf({
  type: text(/^req$/),
  id: callId,
  method: text(/^[\x21-\x7e]{1,128}$/),
  params: optional((params: unknown) => params, null),
})

const clientShape = shapeOf({
  id: name,
  mode: name,
  version: anyText(128),
  platform: metadata,
  deviceFamily: optional(metadata, null),
  displayName: optional(anyText(128), null),
  instanceId: optional(anyText(128), null),
  buildId: ignored,
  modelIdentifier: ignored,
  timeZone: ignored,
})

const deviceShape = shapeOf({
  id: anyText(128),
  publicKey: anyText(512),
  signature: anyText(128),
  signedAt: integer(0),
  nonce: optional(anyText(128), null),
})

const authShape = shapeOf({
  token: optional(secret, null),
  deviceToken: optional(secret, null),
  bootstrapToken: optional(secret, null),
  password: optional(anyText(512), null),
  approvalRuntimeToken: ignored,
  agentRuntimeIdentityToken: ignored,
})

const paramsShape = shapeOf({
  proof: optional(text(/^holdfast\/1$/), null),
  minProtocol: integer(1, 1_000),
  maxProtocol: integer(1, 1_000),
  client: nested,
  role: optional(name, 'operator'),
  scopes: optional(list(name, MAX_SCOPES), [] as readonly string[]),
  auth: optional(nested, {}),
  device: optional(nested, null),
  caps: ignored,
  commands: ignored,
  computerUse: ignored,
  workerRuns: ignored,
  permissions: ignored,
  pathEnv: ignored,
  locale: ignored,
  userAgent: ignored,
})

/**
 * The `connect` call in a frame, each field held to its alphabet, or what is wrong with it. Never throws.
 *
 * Unknown fields are refused, `null` is not an absent field, nothing is trimmed or converted. `role` defaults to
 * `operator` and `scopes` to none, as in the protocol. The caller bounds the size of the frame: 16 KiB before
 * authentication.
 */
export function parseConnect(frame: string): ConnectReading {
  const call = readCall(frame)
  if (!call.ok) return call
  if (call.call.method !== 'connect') return { ok: false, id: call.call.id, problem: { kind: 'not-connect' } }
  const params = readParams(call.call.params)
  if (isProblem(params)) return { ok: false, id: call.call.id, problem: { kind: 'field', ...params } }
  return { ok: true, id: call.call.id, params }
}

/** A call over an admitted socket, or `null` where the frame is none. Never throws; `params` is whatever was sent. */
export function parseCall(frame: string): CallFrame | null {
  const reading = readCall(frame)
  return reading.ok ? reading.call : null
}

function readCall(
  frame: string,
): { readonly ok: true; readonly call: CallFrame } | (ConnectReading & { readonly ok: false }) {
  const value = parseJson(frame)
  if (value === undefined) return { ok: false, id: null, problem: { kind: 'not-json' } }
  const call = readObject(value, 'frame', callShape)
  if (isProblem(call)) {
    const id = isObject(value) ? (callId(value['id']) ?? null) : null
    return { ok: false, id, problem: { kind: 'not-a-request' } }
  }
  return { ok: true, call: { type: 'req', id: call.id, method: call.method, params: call.params } }
}

function readParams(value: unknown): ConnectParams | FieldProblem {
  const params = readObject(value, 'params', paramsShape)
  if (isProblem(params)) return params
  const client = readObject(params.client, 'client', clientShape)
  if (isProblem(client)) return client
  if (params.minProtocol > params.maxProtocol) return { field: 'params.minProtocol', problem: 'invalid' }
  const { minProtocol, maxProtocol, role, scopes } = params
  const wish = { minProtocol, maxProtocol, client: claimOf(client), role, scopes }
  const proven = params.proof === null ? readOpenClawClaim(params) : readHoldfastClaim(params)
  return isProblem(proven) ? proven : { ...wish, ...proven }
}

/** What we make something of. */
function claimOf(client: ClientClaim): ClientClaim {
  const { id, mode, version, platform, deviceFamily, displayName, instanceId } = client
  return { id, mode, version, platform, deviceFamily, displayName, instanceId }
}

function readOpenClawClaim(params: {
  readonly auth: unknown
  readonly device: unknown
}): Pick<OpenClawConnect, 'family' | 'auth' | 'device'> | FieldProblem {
  const auth = readObject(params.auth, 'auth', authShape)
  if (isProblem(auth)) return auth
  const device = params.device === null ? null : readObject(params.device, 'device', deviceShape)
  if (device !== null && isProblem(device)) return device
  return {
    family: 'openclaw',
    auth: withoutEmpty(auth),
    device: device && {
      id: device.id,
      publicKey: device.publicKey,
      signature: device.signature,
      signedAtMs: device.signedAt,
      nonce: device.nonce || null,
    },
  }
}

function withoutEmpty(auth: AuthClaim): AuthClaim {
  return {
    token: auth.token || null,
    deviceToken: auth.deviceToken || null,
    bootstrapToken: auth.bootstrapToken || null,
    password: auth.password || null,
  }
}

/**
 * A frame from a gateway, read by a client, or `null` where it is neither response nor event. Never throws. The gateway may
 * know more fields than we do, so only ours are looked at, and only they are handed on.
 */
export function parseServerFrame(frame: string): ResponseFrame | EventFrame | null {
  const value = parseJson(frame)
  if (!isObject(value)) return null
  if (value['type'] === 'event' && typeof value['event'] === 'string') {
    return { type: 'event', event: value['event'], payload: value['payload'] }
  }
  const id = value['id']
  if (value['type'] !== 'res' || typeof id !== 'string' || typeof value['ok'] !== 'boolean') return null
  if (value['ok']) return { type: 'res', id, ok: true, payload: value['payload'] }
  return { type: 'res', id, ok: false, error: readPeerError(value['error']) }
}

function readPeerError(value: unknown): PeerError {
  const error = isObject(value) ? value : {}
  const { code, message, details, retryable, retryAfterMs } = error
  return {
    code: typeof code === 'string' ? code : 'UNKNOWN',
    message: typeof message === 'string' ? message : 'the gateway gave no reason',
    ...(isObject(details) && { details }),
    ...(typeof retryable === 'boolean' && { retryable }),
    // JSON spells infinity as 1e999, and a timer set to it fires at once.
    ...(typeof retryAfterMs === 'number' &&
      Number.isFinite(retryAfterMs) &&
      retryAfterMs >= 0 && { retryAfterMs }),
  }
}

/** The nonce and the gateway's clock (ms since the epoch) of a challenge, or `null` where the frame is not one. */
export function readChallenge(frame: ResponseFrame | EventFrame): { nonce: string; ts: number } | null {
  if (frame.type !== 'event' || frame.event !== 'connect.challenge' || !isObject(frame.payload)) return null
  const nonce = text(NONCE_PATTERN)(frame.payload['nonce'])
  const ts = integer(0)(frame.payload['ts'])
  return nonce === undefined || ts === undefined ? null : { nonce, ts }
}

/** The value of a JSON text, or `undefined`, which no JSON text has. */
function parseJson(frame: string): unknown {
  try {
    return JSON.parse(frame)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
