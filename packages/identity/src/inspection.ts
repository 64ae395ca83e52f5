import { randomBytes } from 'node:crypto'
import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeviceId } from './device-id.ts'
import { type IdentityErrorCode, isIdentityError } from './errors.ts'
import { type FileSystemFacts, lookAtFileSystem } from './internal/file-system.ts'
import { clearDead, type Leftover, listLeftovers } from './internal/leftovers.ts'
import { judgeLocation, type LocationFinding } from './internal/location-findings.ts'
import { quoted } from './internal/shell-words.ts'
import { chooseLocation, type StateLocation } from './internal/state-location.ts'
import { readSurroundings, type Surroundings } from './internal/surroundings.ts'
import { readAccess } from './internal/windows-access.ts'
import { findIdentity, type IdentityOptions } from './open-identity.ts'
import type { PublicKey } from './public-key.ts'

export type { FileSystemFacts, Leftover }

/** What to inspect. */
export interface InspectOptions extends Pick<IdentityOptions, 'app' | 'profile' | 'directory' | 'name'> {
  /** Remove the left-overs whose process is dead. Nothing else is ever changed. @defaultValue false */
  readonly clearLeftovers?: boolean | undefined
}

/** A file or directory of an install, as it truly is. */
export interface InspectedPath {
  readonly path: string
  readonly kind: 'missing' | 'directory' | 'file' | 'link' | 'other' | 'hidden'
  /** Owner and permission bits; null where the platform has none: no mode is made up. */
  readonly ownerUid: number | null
  readonly mode: number | null
  /**
   * On Windows: who has any right (SIDs), which of them are neither this user nor SYSTEM nor Administrators, and whether
   * the list is the path's own; null where it is not known.
   */
  readonly accessList: {
    readonly isProtected: boolean
    readonly allowed: readonly string[]
    readonly others: readonly string[]
  } | null
}

/** Something a person should know, with the command that helps. */
export interface Finding {
  /** What opening fails with, or what was noticed beside it. */
  readonly code:
    | IdentityErrorCode
    | LocationFinding['code']
    | 'IDENTITY_ABSENT'
    | 'EPHEMERAL_STATE'
    | 'OWNERS_MIXED'
    | 'ACCESS_LIST_UNKNOWN'
    | 'LEFTOVERS'
  /** `error`: the identity cannot be used as it is; `warning`: it can, and something is wrong; `note`: as it should be. */
  readonly severity: 'error' | 'warning' | 'note'
  readonly path: string | null
  readonly facts: Readonly<Record<string, unknown>>
  readonly fix: string
}

/** What {@link inspectIdentity} saw. Nothing in it is secret. */
export interface IdentityInspection {
  /** Where the state is, and which rule chose the place (`chosenBy`); null where no place can be told. */
  readonly location: StateLocation | null
  readonly identity: {
    readonly deviceId: DeviceId
    readonly publicKey: PublicKey
    readonly createdAtMs: number
  } | null
  /** The state directory, the key's directory, the key file. */
  readonly paths: readonly InspectedPath[]
  readonly fileSystem: FileSystemFacts | null
  /** As they were before any were removed. */
  readonly leftovers: readonly Leftover[]
  /** The paths of those that were removed. */
  readonly removed: readonly string[]
  /** The worst first. */
  readonly findings: readonly Finding[]
}

const SEVERITIES = ['error', 'warning', 'note'] as const

/**
 * How things stand with an install's identity: what a person would look at when something does not work. Only looks,
 * unless `clearLeftovers` is given; makes no identity; never throws for what it finds.
 */
export async function inspectIdentity(options: InspectOptions): Promise<IdentityInspection> {
  const surroundings = readSurroundings()
  const location = locate(options, surroundings)
  if ('code' in location) {
    const nothing = {
      location: null,
      identity: null,
      paths: [],
      fileSystem: null,
      leftovers: [],
      removed: [],
    }
    return { ...nothing, findings: [location] }
  }
  const name = options.name ?? 'device'
  const key = name === 'device' ? location.deviceKey : location.gatewayKey
  const { identity, findings } = await tryToFind(options, location, key)
  const paths = [location.directory, join(location.directory, name), key].map(path =>
    inspect(path, surroundings),
  )
  const fileSystem = lookAtFileSystem(location.directory, surroundings)
  const leftovers = listLeftovers(location.directory, surroundings)
  if (options.clearLeftovers) await clearDead(location.directory, leftovers)
  const left = new Set(listLeftovers(location.directory, surroundings).map(({ path }) => path))
  const removed = leftovers.map(({ path }) => path).filter(path => !left.has(path))
  return {
    location,
    identity,
    paths,
    fileSystem,
    leftovers,
    removed,
    findings: [
      ...findings,
      ...judgeAccess(paths, surroundings),
      ...judgeOwners(location.directory, surroundings),
      ...judgeFileSystem(location, fileSystem),
      ...judgeLocation(location, surroundings, path => exists(join(path, 'device', 'key.json'))).map(
        finding => ({ ...finding, severity: 'warning' as const }),
      ),
      ...judgeLeftovers(leftovers.filter(({ path }) => left.has(path))),
    ].sort((one, other) => SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity)),
  }
}

function locate(options: InspectOptions, surroundings: Surroundings): StateLocation | Finding {
  try {
    return chooseLocation(options, surroundings)
  } catch (error) {
    if (isIdentityError(error)) return findingOf(error, null)
    throw error
  }
}

async function tryToFind(
  options: InspectOptions,
  location: StateLocation,
  path: string,
): Promise<Pick<IdentityInspection, 'identity' | 'findings'>> {
  try {
    const found = await findIdentity(options)
    if (found === null) {
      const fix = `The first start makes it: holdfast id --state-dir ${quoted(location.directory)}`
      return {
        identity: null,
        findings: [{ code: 'IDENTITY_ABSENT', severity: 'note', path, facts: {}, fix }],
      }
    }
    const { id: deviceId, publicKey, createdAtMs } = found
    return { identity: { deviceId, publicKey, createdAtMs }, findings: [] }
  } catch (error) {
    if (!isIdentityError(error)) throw error
    return { identity: null, findings: [findingOf(error, path)] }
  }
}

function findingOf(
  error: { readonly code: IdentityErrorCode; readonly detail: { readonly fix: string } },
  path: string | null,
): Finding {
  const { fix, ...facts } = error.detail
  const where = 'path' in facts && typeof facts.path === 'string' ? facts.path : path
  return { code: error.code, severity: 'error', path: where, facts, fix }
}

function inspect(path: string, surroundings: Surroundings): InspectedPath {
  const nothing = { path, ownerUid: null, mode: null, accessList: null }
  let facts: Stats | undefined
  try {
    facts = lstatSync(path, { throwIfNoEntry: false })
  } catch {
    return { ...nothing, kind: 'hidden' } // What stands above it does not let us look; opening says so.
  }
  if (facts === undefined) return { ...nothing, kind: 'missing' }
  const kind = facts.isDirectory()
    ? 'directory'
    : facts.isFile()
      ? 'file'
      : facts.isSymbolicLink()
        ? 'link'
        : 'other'
  if (surroundings.platform === 'win32') {
    const scratch = join(tmpdir(), `holdfast-access-${randomBytes(8).toString('hex')}`)
    return { ...nothing, kind, accessList: readAccess(path, scratch) }
  }
  return { ...nothing, kind, ownerUid: facts.uid, mode: facts.mode & 0o7777 }
}

/** Where there are no modes: what the access lists say, or that they say nothing. Modes are judged by opening. */
function judgeAccess(paths: readonly InspectedPath[], surroundings: Surroundings): readonly Finding[] {
  if (surroundings.platform !== 'win32') return []
  return paths
    .filter(({ kind }) => kind === 'directory' || kind === 'file')
    .flatMap(({ path, accessList }): Finding[] => {
      const others = accessList?.others ?? []
      if (accessList === null) {
        const fix = `Look for yourself: icacls "${path}"`
        return [{ code: 'ACCESS_LIST_UNKNOWN', severity: 'warning', path, facts: {}, fix }]
      }
      if (others.length === 0) return []
      const fix = `icacls "${path}" /inheritance:r /remove:g ${others.map(sid => `*${sid}`).join(' ')}`
      return [{ code: 'ACCESS_LIST_OPEN', severity: 'error', path, facts: { others }, fix }]
    })
}

/** What `sudo` leaves behind: files that the owner of the directory can no longer read or replace. */
function judgeOwners(directory: string, surroundings: Surroundings): readonly Finding[] {
  const ownerUid = surroundings.platform === 'win32' ? undefined : uidOf(directory)
  if (ownerUid === undefined) return []
  const foreign = entriesOf(directory).filter(path => (uidOf(path) ?? ownerUid) !== ownerUid)
  if (foreign.length === 0) return []
  const owners = [...new Set(foreign.map(uidOf))]
  return [
    {
      code: 'OWNERS_MIXED',
      severity: 'warning',
      path: directory,
      facts: { ownerUid, otherUids: owners, paths: foreign.slice(0, 20) },
      fix: `sudo chown -R ${ownerUid} ${quoted(directory)}`,
    },
  ]
}

function judgeFileSystem(location: StateLocation, { type, ephemeral }: FileSystemFacts): readonly Finding[] {
  if (ephemeral === null) return []
  const variable = `HOLDFAST_DIR_${location.app.toUpperCase().replaceAll('-', '_')}`
  const fix = `Keep it on a volume that stays: export ${variable}=/path/on/that/volume`
  const facts = { type, reason: ephemeral }
  return [{ code: 'EPHEMERAL_STATE', severity: 'warning', path: location.directory, facts, fix }]
}

function judgeLeftovers(leftovers: readonly Leftover[]): readonly Finding[] {
  const dead = leftovers.filter(({ safeToRemove }) => safeToRemove)
  const [first] = dead
  if (first === undefined) return []
  const facts = { paths: dead.map(({ path }) => path) }
  const fix = `rm -r ${dead.map(({ path }) => quoted(path)).join(' ')}`
  return [{ code: 'LEFTOVERS', severity: 'note', path: first.path, facts, fix }]
}

/** The directory's entries and theirs; no links are followed. */
function entriesOf(directory: string): readonly string[] {
  const list = (path: string): readonly string[] => {
    try {
      return readdirSync(path).map(name => join(path, name))
    } catch {
      return [] // Not a directory, or not ours to list.
    }
  }
  return list(directory).flatMap(path => [path, ...(isDirectory(path) ? list(path) : [])])
}

function isDirectory(path: string): boolean {
  return look(path)?.isDirectory() === true
}

function uidOf(path: string): number | undefined {
  return look(path)?.uid
}

function exists(path: string): boolean {
  return look(path) !== undefined
}

function look(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined // What stands above it does not let us look.
  }
}
