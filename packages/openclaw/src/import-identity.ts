import { type DeviceIdentity, importIdentity } from '@holdfast/identity'
import type { LocationOptions } from '@holdfast/identity/state'
import { type ForeignKey, readDeviceJson } from './internal/foreign-key.ts'
import { locateOpenClaw, type OpenClawState, usesDatabase } from './internal/openclaw-state.ts'
import { readSurroundings, type Surroundings } from './internal/surroundings.ts'

/** Which OpenClaw, and which install of ours. `app` or `directory` is required. */
export interface ImportOptions extends LocationOptions {
  /** OpenClaw's state directory. @defaultValue `OPENCLAW_STATE_DIR`, else `.openclaw` in the user's home */
  readonly openclawDirectory?: string | undefined
}

/** An install of ours that is the same device as an OpenClaw install. */
export interface ImportedIdentity {
  /** `adopted`: by this call. `present`: it was that device before. */
  readonly outcome: 'adopted' | 'present'
  readonly identity: DeviceIdentity
  /** Where the key was found: a path inside OpenClaw's directory. It is still there. */
  readonly source: string
}

/**
 * Make this install the device that an OpenClaw install of this user already is, so that its gateway keeps what it was given;
 * or `null` where there is no OpenClaw identity to adopt. 2026.2 to 2026.8 keep it in a file, 2026.9 in a database; both are
 * only read. Of any number of callers one adopts. A key that this install has already is never replaced.
 *
 * @throws `IdentityError` `IDENTITY_EXISTS`: this install is another device already; and what else `importIdentity` throws.
 * @throws {@link OpenClawError} `OPENCLAW_KEY_DAMAGED`, `OPENCLAW_KEY_EXPOSED`, `OPENCLAW_KEY_FOREIGN`, `OPENCLAW_KEY_UNREADABLE`
 */
export async function importOpenClawIdentity(options: ImportOptions): Promise<ImportedIdentity | null> {
  const { app, profile, directory } = options
  const surroundings = readSurroundings()
  const state = locateOpenClaw(options.openclawDirectory, surroundings)
  const found = await findForeignKey(state, surroundings)
  if (found === null) return null
  const { deviceJson } = found.key
  const identity = await importIdentity({ deviceJson }, { app, profile, directory })
  return { outcome: identity.created ? 'adopted' : 'present', identity, source: found.source }
}

async function findForeignKey(
  state: OpenClawState,
  surroundings: Surroundings,
): Promise<{ readonly key: ForeignKey; readonly source: string } | null> {
  // A file beside a database is one that the next start of OpenClaw takes in, if the database holds no key of its own.
  const inDatabase = usesDatabase(state) ? await findDatabaseKey(state.database) : null
  if (inDatabase !== null) return { key: inDatabase, source: state.database }
  const inFile = readDeviceJson(state.keyFile, surroundings)
  return inFile === null ? null : { key: inFile, source: state.keyFile }
}

/** SQLite is loaded where there is a database to read, and nowhere else: on Node 22 loading it prints a warning. */
async function findDatabaseKey(path: string): Promise<ForeignKey | null> {
  const { readDatabaseKey } = await import('./internal/database-key.ts')
  return readDatabaseKey(path)
}
