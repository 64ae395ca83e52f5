import { BUILT_IN_ROLES, defineRoles, expandScopes, parseRole, parseScopes } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import { isOpenClawError, type OpenClawErrorCode } from './errors.ts'
import { type ForeignKey, readDeviceJson } from './internal/foreign-key.ts'
import { type OpenClawBooks, type PairedRow, readFileBooks } from './internal/openclaw-books.ts'
import { gatewayUrlOf, locateOpenClaw, type OpenClawState, usesDatabase } from './internal/openclaw-state.ts'
import { readSurroundings, type Surroundings } from './internal/surroundings.ts'
import { OPENCLAW_SCOPES } from './openclaw-client.ts'

/** Which OpenClaw, and whose device. */
export interface OpenClawInspectOptions {
  /** OpenClaw's state directory. @defaultValue `OPENCLAW_STATE_DIR`, else `.openclaw` in the user's home */
  readonly openclawDirectory?: string | undefined
  /** This install's device, which is looked for in the books beside OpenClaw's own. @defaultValue none */
  readonly deviceId?: DeviceId | undefined
}

/** One of the known traps, with its facts. No fact is secret. */
export type OpenClawTrap =
  /**
   * OpenClaw's own device, or this install's, has less than its clients ask for: what asks for more waits for a person. Up to
   * 2026.8. `requestId`: its wish that waits already.
   */
  | {
      readonly trap: 'scopes-stuck'
      readonly deviceId: string
      readonly missing: readonly string[]
      readonly requestId: string | null
    }
  /** A request that nobody answered: as long as it lies about, no later wish of that device is let through silently. */
  | { readonly trap: 'request-poisoned'; readonly deviceId: string; readonly requestId: string }
  /**
   * The gateway knows command lines that were there before this one's key was made, which was made anew. `paired`: it knows
   * this one as well by now, and the former ones are still let in.
   */
  | {
      readonly trap: 'key-regenerated'
      readonly deviceId: string
      readonly known: readonly string[]
      readonly paired: boolean
    }
  /** OpenClaw's key cannot be used. Up to 2026.8 it makes another one over it, and is a stranger. */
  | { readonly trap: 'key-unusable'; readonly path: string; readonly code: OpenClawErrorCode }
  /** A key file beside a database that holds another key: the gateway may refuse to start. */
  | {
      readonly trap: 'two-identities'
      readonly path: string
      readonly inFile: string | null
      readonly inDatabase: string | null
    }
  /** More devices than a gateway of 2026.9 can write: with some 1,490 every handshake fails. */
  | { readonly trap: 'too-many-devices'; readonly count: number; readonly limit: number }
  /** The device token that the command line keeps is not the one that the gateway knows. */
  | { readonly trap: 'token-drift'; readonly deviceId: string }
  /** A file of the books cannot be read: the next approval overwrites it, and every other device is lost. */
  | { readonly trap: 'books-damaged'; readonly path: string }

/** What was seen. Nothing was changed. */
export interface OpenClawInspection {
  readonly directory: string
  /** `files`: 2026.2 to 2026.8; `database`: 2026.9; `none`: no OpenClaw ever ran there. */
  readonly kind: 'files' | 'database' | 'none'
  /** Where its gateway listens, by its configuration. */
  readonly gatewayUrl: string
  /** The device that OpenClaw's own command line is. */
  readonly deviceId: string | null
  readonly paired: number
  readonly pending: number
  readonly traps: readonly OpenClawTrap[]
}

/** Beyond this a gateway of 2026.9 is close to its end: 1,400 work, 1,500 do not. */
const MOST_DEVICES = 1_400

/**
 * Look at the state directory of an OpenClaw install, of either kind, for what is known to keep devices out. It is only
 * read: neither OpenClaw nor its gateway notices, running or not.
 *
 * @throws {@link OpenClawError} `OPENCLAW_KEY_UNREADABLE`: its database cannot be read.
 */
export async function inspectOpenClaw(options: OpenClawInspectOptions = {}): Promise<OpenClawInspection> {
  const surroundings = readSurroundings()
  const state = locateOpenClaw(options.openclawDirectory, surroundings)
  const database = usesDatabase(state) ? await import('./internal/database-key.ts') : null
  const books = database?.readDatabaseBooks(state.database) ?? readFileBooks(state)
  const inFile = keyIdOf(state.keyFile, () => readDeviceJson(state.keyFile, surroundings))
  const inDatabase =
    database === null ? NO_KEY : keyIdOf(state.database, () => database.readDatabaseKey(state.database))
  const own = database === null ? inFile : inDatabase
  const mine = [own.deviceId, options.deviceId ?? null].filter(id => id !== null)
  return {
    directory: state.directory,
    kind: database !== null ? 'database' : isEmpty(books, inFile) ? 'none' : 'files',
    gatewayUrl: gatewayUrlOf(state, surroundings),
    deviceId: own.deviceId,
    paired: books.paired.length,
    pending: books.pending.length,
    traps: [
      ...[inFile, inDatabase].flatMap(({ trap }) => trap ?? []),
      ...books.damaged.map(path => ({ trap: 'books-damaged', path }) as const),
      ...(database === null ? [] : twoIdentities(state, inFile.deviceId, inDatabase.deviceId)),
      // The command line of 2026.9 shows no device to a gateway of its machine, which gives more without asking anybody.
      ...(database === null
        ? [...regenerated(books, mine, own, surroundings), ...stuck(books, own.deviceId, options.deviceId)]
        : []),
      ...poisoned(books),
      ...drifted(books),
      ...crowded(books),
    ],
  }
}

interface KeyId {
  readonly deviceId: string | null
  readonly createdAtMs: number | null
  readonly trap: OpenClawTrap | null
}

const NO_KEY: KeyId = { deviceId: null, createdAtMs: null, trap: null }

function keyIdOf(path: string, read: () => ForeignKey | null): KeyId {
  try {
    const { deviceId, createdAtMs } = read() ?? NO_KEY
    return { deviceId, createdAtMs, trap: null }
  } catch (error) {
    if (!isOpenClawError(error)) throw error
    return { ...NO_KEY, trap: { trap: 'key-unusable', path, code: error.code } }
  }
}

function isEmpty({ paired, pending, damaged }: OpenClawBooks, key: KeyId): boolean {
  return key.deviceId === null && key.trap === null && paired.length + pending.length + damaged.length === 0
}

function twoIdentities(
  { keyFile: path }: OpenClawState,
  inFile: string | null,
  inDatabase: string | null,
): OpenClawTrap[] {
  // Without a key of its own the database takes in the one of the file at the next start: that is no trap.
  if (inFile === null || inDatabase === null || inFile === inDatabase) return []
  return [{ trap: 'two-identities', path, inFile, inDatabase }]
}

/** Command lines of this platform are known, and this one is none of them, or came later. Installs of ours have a name. */
function regenerated(
  { paired }: OpenClawBooks,
  mine: readonly string[],
  { deviceId, createdAtMs }: KeyId,
  { platform }: Surroundings,
): OpenClawTrap[] {
  if (deviceId === null) return []
  const now = paired.find(row => row.deviceId === deviceId)
  const known = paired
    .filter(row => row.clientId === 'cli' && (row.platform ?? platform) === platform)
    .filter(row => !mine.includes(row.deviceId) && row.displayName?.startsWith('holdfast ') !== true)
    .filter(row => now === undefined || isFormer(row, now, createdAtMs))
    .map(row => row.deviceId)
  return known.length === 0 ? [] : [{ trap: 'key-regenerated', deviceId, known, paired: now !== undefined }]
}

/** Did the same program say the same of itself before the key was made that it has now? */
function isFormer(row: PairedRow, now: PairedRow, keyCreatedAtMs: number | null): boolean {
  const same = row.clientMode === now.clientMode && row.displayName === now.displayName
  return same && keyCreatedAtMs !== null && row.createdAtMs !== null && row.createdAtMs < keyCreatedAtMs
}

const ROLES = defineRoles(BUILT_IN_ROLES)

/** What the command line of 2026.2 asks for. Later ones ask for more, and their gateways take admin for all of it. */
const COMMAND_LINE_SCOPES = ['operator.admin', 'operator.approvals', 'operator.pairing'] as const

function stuck(
  { paired, pending }: OpenClawBooks,
  own: string | null,
  installId: string | undefined,
): OpenClawTrap[] {
  return paired
    .filter(({ deviceId }) => deviceId === own || deviceId === installId)
    .flatMap(row => {
      const { deviceId } = row
      const missing = missingOf(row, deviceId === installId ? OPENCLAW_SCOPES : COMMAND_LINE_SCOPES)
      const requestId = pending.find(request => request.deviceId === deviceId)?.requestId ?? null
      return missing.length === 0 ? [] : [{ trap: 'scopes-stuck', deviceId, missing, requestId } as const]
    })
}

/** 2026.2 takes `operator.admin` for itself and reading only, so that implication is not counted on. */
function missingOf({ scopes }: PairedRow, needed: readonly string[]): readonly string[] {
  const role = parseRole(ROLES, 'operator')
  const small = scopes.filter(scope => scope !== 'operator.admin')
  const held: ReadonlySet<string> =
    role === null
      ? new Set()
      : expandScopes(
          ROLES,
          role,
          small.flatMap(scope => parseScopes(ROLES, role, [scope]) ?? []),
        )
  return needed.filter(scope => !scopes.includes(scope) && !held.has(scope))
}

function poisoned({ pending }: OpenClawBooks): OpenClawTrap[] {
  return pending
    .filter(({ silent }) => !silent)
    .map(({ deviceId, requestId }) => ({ trap: 'request-poisoned', deviceId, requestId }))
}

function drifted({ paired, kept }: OpenClawBooks): OpenClawTrap[] {
  return paired
    .filter(({ deviceId, token }) => kept.has(deviceId) && kept.get(deviceId) !== token)
    .map(({ deviceId }) => ({ trap: 'token-drift', deviceId }))
}

function crowded({ paired }: OpenClawBooks): OpenClawTrap[] {
  return paired.length > MOST_DEVICES
    ? [{ trap: 'too-many-devices', count: paired.length, limit: MOST_DEVICES }]
    : []
}
