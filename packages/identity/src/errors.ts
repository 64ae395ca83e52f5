import type { DeviceId } from './device-id.ts'

/** Everything the identity package can fail at, and the facts it hands over when it does. No fact is secret. */
export interface IdentityFailures {
  /** The file is there but is not one we wrote. It was left as it is, and no other key was made. */
  KEY_FILE_DAMAGED: {
    readonly path: string
    readonly reason:
      | 'not-a-file'
      | 'empty'
      | 'too-large'
      | 'truncated'
      | 'not-json'
      | 'format-unknown'
      | 'version-unknown'
      | 'secret-key-missing'
      | 'public-key-missing'
      | 'creation-time-missing'
      | 'keys-mismatch'
      | 'id-mismatch'
    readonly fix: string
  }
  /** Somebody other than this user may read or replace the file, or the directory that holds it. */
  KEY_FILE_EXPOSED: { readonly path: string; readonly mode: number; readonly fix: string }
  /**
   * On Windows: the access list of a new, still empty directory or file gives others a right as well (their SIDs), or could
   * not be set (`null`). Nothing secret was written.
   */
  ACCESS_LIST_OPEN: {
    readonly path: string
    readonly others: readonly string[] | null
    readonly fix: string
  }
  /** The file, its directory, or a link on the way to it belongs to another user. */
  KEY_FILE_FOREIGN: {
    readonly path: string
    readonly ownerUid: number
    readonly uid: number
    readonly fix: string
  }
  /** The file or its directory is a symbolic link, or the file has a second name (hard link). */
  KEY_FILE_LINKED: {
    readonly path: string
    readonly kind: 'symbolic-link' | 'hard-link'
    readonly fix: string
  }
  /** The system would not let us look: no permission, an I/O error, a loop of links. This is not "no key". */
  KEY_FILE_UNREADABLE: { readonly path: string; readonly errno: string; readonly fix: string }
  /** The place where the key belongs is taken by something that holds no key. Nothing of it was touched. */
  KEY_DIRECTORY_OCCUPIED: { readonly path: string; readonly entries: readonly string[]; readonly fix: string }
  /** There is a key already, and it is another one than the one that was to be imported. It was left as it is. */
  IDENTITY_EXISTS: {
    readonly path: string
    readonly found: DeviceId
    readonly offered: DeviceId
    readonly fix: string
  }
  /** The place was handed down by a parent, whose identity it is: a child does not put another in its place. */
  IDENTITY_HANDED_DOWN: { readonly path: string; readonly expected: DeviceId; readonly fix: string }
  /** The identity has no key file: its key cannot be exported from here. */
  IDENTITY_IN_MEMORY: { readonly deviceId: DeviceId; readonly fix: string }
  /** The export could not be written whole. Nothing of it is left, and what was there is as it was. */
  EXPORT_FAILED: { readonly path: string; readonly errno: string; readonly fix: string }
  /** Nothing can be written where the state belongs. `ownerUid` is null where the platform has no uids. */
  STATE_NOT_WRITABLE: {
    readonly path: string
    readonly errno: string
    readonly ownerUid: number | null
    readonly uid: number | null
    readonly fix: string
  }
  /** The place for the state cannot be told from what was given. */
  STATE_LOCATION_INVALID: {
    readonly source: 'directory' | 'app' | 'profile' | 'environment' | 'home'
    readonly reason: string
    readonly fix: string
  }
  /** A parent handed down a place and a device id, and there is no key at that place. None was made. */
  IDENTITY_MISSING: { readonly path: string; readonly expected: DeviceId; readonly fix: string }
  /** A parent handed down a place and a device id, and the key there belongs to another device. */
  IDENTITY_UNEXPECTED: {
    readonly path: string
    readonly expected: DeviceId
    readonly found: DeviceId
    readonly fix: string
  }
  /** The key that was handed over is not an Ed25519 private key in a form we read. */
  KEY_SOURCE_UNSUPPORTED: {
    readonly reason: 'not-ed25519' | 'malformed' | 'encrypted' | 'public-key-mismatch'
    readonly found: string | null
    readonly fix: string
  }
  /** A fresh key could not sign and verify one message. It was thrown away before anything was written. */
  KEY_SELF_TEST_FAILED: { readonly implementation: 'native' | 'portable'; readonly fix: string }
}

/** The closed set of codes of {@link IdentityError}. */
export type IdentityErrorCode = keyof IdentityFailures

type Sentences = { readonly [Code in IdentityErrorCode]: (detail: IdentityFailures[Code]) => string }

const sentences: Sentences = {
  KEY_FILE_DAMAGED: d => `${d.path} is not a key we wrote (${d.reason}); it was left as it is`,
  KEY_FILE_EXPOSED: d => `${d.path} is open to other users (mode ${d.mode.toString(8)})`,
  ACCESS_LIST_OPEN: d =>
    `${d.path} is open to ${d.others?.join(', ') ?? 'nobody knows whom'}; nothing was written`,
  KEY_FILE_FOREIGN: d => `${d.path} belongs to uid ${d.ownerUid}, this process runs as uid ${d.uid}`,
  KEY_FILE_LINKED: d => `${d.path} is a ${d.kind}`,
  KEY_FILE_UNREADABLE: d => `${d.path} cannot be read (${d.errno}); no other key was made`,
  KEY_DIRECTORY_OCCUPIED: d => `${d.path} is taken by something that holds no key`,
  IDENTITY_EXISTS: d => `${d.path} is device ${d.found} already, not ${d.offered}; it was left as it is`,
  IDENTITY_HANDED_DOWN: d => `${d.path} was handed down by a parent, as device ${d.expected}`,
  IDENTITY_IN_MEMORY: d => `device ${d.deviceId} has no key file`,
  EXPORT_FAILED: d => `${d.path} was not written (${d.errno})`,
  STATE_NOT_WRITABLE: d => `${d.path} cannot be written (${d.errno})`,
  STATE_LOCATION_INVALID: d => `the state directory cannot be told from ${d.source}: ${d.reason}`,
  IDENTITY_MISSING: d => `${d.path} does not exist, though device ${d.expected} was handed down`,
  IDENTITY_UNEXPECTED: d => `${d.path} is device ${d.found}, though device ${d.expected} was handed down`,
  KEY_SOURCE_UNSUPPORTED: d =>
    `not an Ed25519 private key we read (${d.reason}${d.found ? `: ${d.found}` : ''})`,
  KEY_SELF_TEST_FAILED: d => `a fresh key failed its self test (${d.implementation}); nothing was written`,
}

/**
 * The one error class of this package. `code` is from a closed set, `detail` holds the facts of that code
 * ({@link IdentityFailures}), `cause` the system's own error where there is one. None of them holds key material.
 */
export class IdentityError<Code extends IdentityErrorCode = IdentityErrorCode> extends Error {
  override readonly name = 'IdentityError'
  readonly code: Code
  readonly detail: IdentityFailures[Code]

  constructor(code: Code, detail: IdentityFailures[Code], options?: { readonly cause?: unknown }) {
    super(`${code}: ${sentences[code](detail)}. ${detail.fix}`, options)
    this.code = code
    this.detail = detail
  }
}

/**
 * Whether a caught value is an {@link IdentityError}, and, where a code is given, one with that code.
 * It also recognises the errors of another copy of this package in the same process.
 */
export function isIdentityError<Code extends IdentityErrorCode = IdentityErrorCode>(
  value: unknown,
  code?: Code,
): value is IdentityError<Code> {
  if (!(value instanceof Error) || value.name !== 'IdentityError' || !('code' in value)) return false
  if (typeof value.code !== 'string' || !Object.hasOwn(sentences, value.code)) return false
  return code === undefined || value.code === code
}
