import type { Refusal, RuleId } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'

/** Everything the gateway package can fail at, and the facts it hands over when it does. No fact is secret. */
export interface GatewayFailures {
  /** The gate's own identity is a device in its own store: its key would be judge and party. Nobody is admitted. */
  IDENTITY_IS_DEVICE: { readonly deviceId: DeviceId }
  /** The gateway token could be guessed: too short, too few different characters, or outside its alphabet. */
  GATEWAY_TOKEN_WEAK: { readonly minLength: number; readonly reason: 'length' | 'alphabet' | 'variety' }
  /** The gateway token cannot be had from where it lies; the cause says why. */
  GATEWAY_TOKEN_UNREADABLE: Readonly<Record<never, never>>
  /** The store says that nothing more will come of it. Live sockets are cut in a minute; only a restart helps. */
  STORE_LOST: { readonly reason: string }
  /** What was kept of the audit log's head cannot be read: nobody can tell whether the store is behind it. */
  AUDIT_HEAD_DAMAGED: { readonly path: string }
  /** Another gateway runs on this state directory. `null`s: it holds the lock, but has left no note that answers. */
  GATEWAY_RUNNING: { readonly directory: string; readonly pid: number | null; readonly url: string | null }
  /** The lock that one gateway holds per state directory cannot be opened. */
  GATEWAY_LOCK_FAILED: { readonly path: string }
  /** What makes a machine the same gateway as another is not in that file; nothing was changed. */
  PROVISION_DAMAGED: Readonly<Record<never, never>>
  /** The file for another machine could not be written; one that is there already is left as it is. */
  PROVISION_NOT_WRITTEN: { readonly path: string; readonly errno: string }
  /** There is no listening on that address. */
  LISTEN_FAILED: { readonly host: string; readonly port: number; readonly errno: string }
  /** A socket that was handed to `accept` was refused; the peer was told the same. */
  PEER_REFUSED: { readonly refusal: Refusal; readonly rule: RuleId | '0' | '1' }
  /** The peer of a socket that was handed to `accept` left before it was admitted. */
  PEER_LEFT: { readonly closeCode: number }
  /** The gate was closed. */
  GATE_CLOSED: Readonly<Record<never, never>>
}

export type GatewayErrorCode = keyof GatewayFailures

type Sentences = { readonly [Code in GatewayErrorCode]: (detail: GatewayFailures[Code]) => string }

const sentences: Sentences = {
  IDENTITY_IS_DEVICE: d => `the gate's identity ${d.deviceId} is a device in its own store`,
  GATEWAY_TOKEN_WEAK: d =>
    `the gateway token can be guessed (${d.reason}): at least ${d.minLength} random characters are needed`,
  GATEWAY_TOKEN_UNREADABLE: () => 'the gateway token cannot be read',
  STORE_LOST: d => `the pairing store is lost (${d.reason})`,
  AUDIT_HEAD_DAMAGED: d => `${d.path} holds no head of an audit log`,
  GATEWAY_RUNNING: d => `a gateway runs on ${d.directory} already${d.url === null ? '' : `, at ${d.url}`}`,
  GATEWAY_LOCK_FAILED: d => `${d.path} cannot be locked`,
  PROVISION_DAMAGED: () => 'the file is not what a gateway exported',
  PROVISION_NOT_WRITTEN: d => `${d.path} could not be written (${d.errno})`,
  LISTEN_FAILED: d => `cannot listen on ${d.host} port ${d.port} (${d.errno})`,
  PEER_REFUSED: d => `refused by rule ${d.rule}: ${d.refusal.code}`,
  PEER_LEFT: d => `the peer left before it was admitted (${d.closeCode})`,
  GATE_CLOSED: () => 'the gate is closed',
}

/** The one error class of this package: a `code` from a closed set, the facts of that code as `detail`. */
export class GatewayError<Code extends GatewayErrorCode = GatewayErrorCode> extends Error {
  override readonly name = 'GatewayError'
  readonly code: Code
  readonly detail: GatewayFailures[Code]

  constructor(code: Code, detail: GatewayFailures[Code], options?: ErrorOptions) {
    super(`${code}: ${sentences[code](detail)}`, options)
    this.code = code
    this.detail = detail
  }
}

/** Is this one of ours, and, where a code is given, one with that code? Survives two copies of the package. */
export function isGatewayError<Code extends GatewayErrorCode = GatewayErrorCode>(
  value: unknown,
  code?: Code,
): value is GatewayError<Code> {
  if (!(value instanceof Error) || value.name !== 'GatewayError' || !('code' in value)) return false
  if (typeof value.code !== 'string' || !Object.hasOwn(sentences, value.code)) return false
  return code === undefined || value.code === code
}
