import type { GatewayErrorCode } from '@holdfast/gateway'
import type { HandshakeErrorCode } from '@holdfast/handshake'
import type { IdentityErrorCode } from '@holdfast/identity'
import type { OpenClawErrorCode } from '@holdfast/openclaw'
import type { PairingStoreErrorCode } from '@holdfast/pairing-store'
import type { SpawnerErrorCode } from '@holdfast/spawner'
import type { CommandErrorCode } from './errors.ts'
import { plain } from './render.ts'

type KnownCode =
  | CommandErrorCode
  | GatewayErrorCode
  | HandshakeErrorCode
  | IdentityErrorCode
  | OpenClawErrorCode
  | PairingStoreErrorCode
  | SpawnerErrorCode

/** What helps. `null`: the error itself carries the command (`detail.fix`), or there is nothing to say beyond its facts. */
const ADVICE: Readonly<Record<KnownCode, string | null>> = {
  // The command line's own
  USAGE: null,
  STORE_MISSING: null,
  OWNER_DIFFERS: null,
  REQUEST_UNKNOWN: null,
  REQUEST_EXPIRED: null,
  REQUEST_CHANGED: null,
  DECISION_UNKNOWN: null,
  DELEGATION_UNKNOWN: null,
  DEVICE_UNKNOWN: null,
  DEVICE_REVOKED: null,
  ROLE_UNKNOWN: 'The roles are those of the gateway, as it was started last.',
  SCOPE_UNKNOWN: 'The scopes are those of the gateway, as it was started last.',
  APPROVER_TOO_SMALL: 'Nobody gives what they do not hold.',
  CODE_UNKNOWN: null,
  CODES_FULL: null,
  STORE_BROKEN: 'Restore a backup: holdfast store restore FILE',
  AUDIT_BROKEN: 'Somebody with access to the file was at it: compare it with a backup, and rotate the token.',
  TOKEN_MISSING: null,
  TOKEN_ABSENT: 'It is handed one with its next hello under the gateway token.',
  IDENTITY_ABSENT: null,
  CONFIRMATION_NEEDED: null,
  RACE_LOST: 'This file system does not do what the key relies on: keep the state directory on a local disk.',
  DEMO_FAILED: 'Try it in a fresh state directory: --fresh',
  // identity
  KEY_FILE_DAMAGED: null,
  KEY_FILE_EXPOSED: null,
  ACCESS_LIST_OPEN: null,
  KEY_FILE_FOREIGN: null,
  KEY_FILE_LINKED: null,
  KEY_FILE_UNREADABLE: null,
  KEY_DIRECTORY_OCCUPIED: null,
  STATE_NOT_WRITABLE: null,
  STATE_LOCATION_INVALID: null,
  IDENTITY_EXISTS: null,
  IDENTITY_HANDED_DOWN: null,
  EXPORT_FAILED: null,
  IDENTITY_MISSING: null,
  IDENTITY_UNEXPECTED: null,
  KEY_SOURCE_UNSUPPORTED: null,
  KEY_SELF_TEST_FAILED: null,
  // handshake
  ROLES_INVALID: 'The file of roles is JSON: { "role": { "scope": ["implied scope", …] or "*" } }.',
  WISH_INVALID: null,
  DELEGATION_INVALID: null,
  // pairing-store
  STORE_BUSY: null,
  STORE_UNREADABLE: null,
  STORE_NOT_A_DATABASE: null,
  STORE_FOREIGN: null,
  STORE_SCHEMA_NEWER: null,
  STORE_EXPOSED: null,
  STORE_NOT_WRITABLE: null,
  STORE_WRITE_FAILED: null,
  STORE_UNREACHABLE: null,
  STORE_OUTCOME_UNKNOWN: null,
  STORE_DRIVER_MISSING: null,
  STORE_AUDIT_FAILED: null,
  STORE_ROLLED_BACK: null,
  STORE_REPLACED: null,
  STORE_COPY_EXISTS: null,
  STORE_COPY_BROKEN: null,
  STORE_TOKEN_DEMANDED: null,
  STORE_CLOSED: null,
  STORE_LOST: null,
  // spawner
  IDENTITY_IN_MEMORY: null,
  GATEWAY_NOT_FOUND: null,
  GATEWAY_UNREACHABLE: null,
  GATEWAY_UNEXPECTED: null,
  GATEWAY_TOKEN_UNUSABLE: null,
  GATEWAY_UNPINNED: 'Name the gateway that is meant: --gateway-id, as it prints it when it starts.',
  GATEWAY_UNPROVEN: null,
  DELEGATION_UNSUPPORTED: null,
  DELEGATION_UNAVAILABLE: null,
  PROTOCOL_UNEXPECTED: null,
  HANDSHAKE_TIMEOUT: null,
  GATEWAY_HUNG_UP: null,
  ADMISSION_REFUSED: null,
  SCOPES_MISSING: null,
  CALL_FAILED: null,
  CONNECTION_LOST: null,
  CONNECTION_CLOSED: null,
  // openclaw
  OPENCLAW_KEY_DAMAGED: null,
  OPENCLAW_KEY_EXPOSED: null,
  OPENCLAW_KEY_FOREIGN: null,
  OPENCLAW_KEY_UNREADABLE: null,
  OPENCLAW_IDENTITY_DIFFERS: null,
  OPENCLAW_USES_DATABASE: null,
  OPENCLAW_NOT_WRITABLE: null,
  // gateway
  IDENTITY_IS_DEVICE: 'Give the gateway a state directory and a store of its own.',
  GATEWAY_TOKEN_WEAK: 'Make a new one: holdfast token rotate',
  GATEWAY_TOKEN_UNREADABLE: null,
  AUDIT_HEAD_DAMAGED: 'See what is in it, and take it away once you trust the store: holdfast audit --verify',
  GATEWAY_RUNNING: 'Use the one that runs, or stop it first.',
  GATEWAY_LOCK_FAILED:
    'The state directory must be one that this user can write, on a file system with locks.',
  PROVISION_DAMAGED: 'It is what `holdfast gateway export` wrote that is wanted.',
  PROVISION_NOT_WRITTEN: 'Name a new file, in a directory that you can write.',
  LISTEN_FAILED: 'Take another --port (0 takes a free one), or a --host that is an address of this machine.',
  PEER_REFUSED: null,
  PEER_LEFT: null,
  GATE_CLOSED: null,
}

/** A failure, for people and for programs. */
export interface Report {
  /** 2 for wrong usage, else 1. */
  readonly exitCode: 1 | 2
  readonly json: Readonly<Record<string, unknown>>
  readonly lines: readonly string[]
}

/** What to print of an error: its code, its facts, and what helps. What is none of ours is a defect, and thrown on. */
export function report(error: unknown): Report {
  if (!isKnown(error)) throw error
  const { code, detail } = error
  const { fix, ...facts } = detail
  const help = typeof fix === 'string' ? fix : ADVICE[code]
  return {
    exitCode: isUsage(code, detail) ? 2 : 1,
    json: { code, detail: facts, ...(help !== null && { help }) },
    lines: [
      `holdfast: ${code}`,
      ...Object.entries(facts).map(([name, value]) => `  ${name}: ${plain(textOf(value), 500)}`),
      ...(help === null ? [] : [help]),
    ],
  }
}

/** Is it the words of the command line that are wrong, rather than what they are about? */
function isUsage(code: KnownCode, detail: Readonly<Record<string, unknown>>): boolean {
  if (code === 'STATE_LOCATION_INVALID')
    return ['app', 'profile', 'directory'].includes(String(detail['source']))
  return code === 'USAGE' || code === 'ROLES_INVALID'
}

function isKnown(
  error: unknown,
): error is Error & { readonly code: KnownCode; readonly detail: Readonly<Record<string, unknown>> } {
  if (!(error instanceof Error) || !('code' in error) || !('detail' in error)) return false
  const { code, detail } = error
  return (
    typeof code === 'string' && Object.hasOwn(ADVICE, code) && typeof detail === 'object' && detail !== null
  )
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
