import type { DeviceId, IdentityFailures } from '@holdfast/identity'

/** Everything the openclaw package can fail at, and the facts it hands over when it does. No fact is secret. */
export interface OpenClawFailures {
  /** OpenClaw's key is there but cannot be used. It was left as it is. */
  OPENCLAW_KEY_DAMAGED: {
    readonly path: string
    readonly reason: IdentityFailures['KEY_SOURCE_UNSUPPORTED']['reason']
    readonly fix: string
  }
  /** Somebody other than this user may read or replace OpenClaw's key, so that it is no proof of who we are. */
  OPENCLAW_KEY_EXPOSED: { readonly path: string; readonly mode: number; readonly fix: string }
  /** OpenClaw's key belongs to another user, or is no plain file of a key's size. */
  OPENCLAW_KEY_FOREIGN: {
    readonly path: string
    readonly reason: 'owner' | 'not-a-file'
    readonly fix: string
  }
  /** The operating system did not let us read it, or SQLite did not. */
  OPENCLAW_KEY_UNREADABLE: { readonly path: string; readonly errno: string; readonly fix: string }
  /** That OpenClaw has another key already. It was left as it is. */
  OPENCLAW_IDENTITY_DIFFERS: {
    readonly path: string
    readonly expected: DeviceId
    readonly found: DeviceId
    readonly fix: string
  }
  /** This OpenClaw install keeps its identity in a database; a key file beside it would keep its gateway from starting. */
  OPENCLAW_USES_DATABASE: { readonly path: string; readonly fix: string }
  /** The identity lives in memory only, where its key does not leave it. */
  IDENTITY_IN_MEMORY: { readonly deviceId: DeviceId; readonly fix: string }
  /** A folder cannot be written: OpenClaw's own, or the one for device tokens. */
  OPENCLAW_NOT_WRITABLE: { readonly path: string; readonly errno: string; readonly fix: string }
}

/** The closed set of codes of {@link OpenClawError}. */
export type OpenClawErrorCode = keyof OpenClawFailures

type Sentences = { readonly [Code in OpenClawErrorCode]: (detail: OpenClawFailures[Code]) => string }

const sentences: Sentences = {
  OPENCLAW_KEY_DAMAGED: d => `${d.path} cannot be used (${d.reason}). ${d.fix}`,
  OPENCLAW_KEY_EXPOSED: d => `others may read or write ${d.path} (mode ${d.mode.toString(8)}). ${d.fix}`,
  OPENCLAW_KEY_FOREIGN: d => `${d.path} is not ours to adopt (${d.reason}). ${d.fix}`,
  OPENCLAW_KEY_UNREADABLE: d => `${d.path} cannot be read (${d.errno}). ${d.fix}`,
  OPENCLAW_IDENTITY_DIFFERS: d => `${d.path} is device ${d.found}, not ${d.expected}. ${d.fix}`,
  OPENCLAW_USES_DATABASE: d => `${d.path} holds the identity of this OpenClaw. ${d.fix}`,
  IDENTITY_IN_MEMORY: d => `device ${d.deviceId} lives in memory only. ${d.fix}`,
  OPENCLAW_NOT_WRITABLE: d => `${d.path} cannot be written (${d.errno}). ${d.fix}`,
}

/**
 * The one error class of this package. `code` is from a closed set, `detail` holds the facts of that code
 * ({@link OpenClawFailures}), `cause` the system's own error where there is one. None of them holds a key or a token.
 */
export class OpenClawError<Code extends OpenClawErrorCode = OpenClawErrorCode> extends Error {
  override readonly name = 'OpenClawError'
  readonly code: Code
  readonly detail: OpenClawFailures[Code]

  constructor(code: Code, detail: OpenClawFailures[Code], options?: { readonly cause?: unknown }) {
    super(`${code}: ${sentences[code](detail)}`, options)
    this.code = code
    this.detail = detail
  }
}

/**
 * Whether a caught value is an {@link OpenClawError}, and, where a code is given, one with that code.
 * It also recognises the errors of another copy of this package in the same process.
 */
export function isOpenClawError<Code extends OpenClawErrorCode = OpenClawErrorCode>(
  value: unknown,
  code?: Code,
): value is OpenClawError<Code> {
  if (!(value instanceof Error) || value.name !== 'OpenClawError' || !('code' in value)) return false
  if (typeof value.code !== 'string' || !Object.hasOwn(sentences, value.code)) return false
  return code === undefined || value.code === code
}
