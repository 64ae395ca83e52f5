import process from 'node:process'
import {
  type Finding,
  formatPublicKey,
  type IdentityInspection,
  type InspectedPath,
  inspectIdentity,
  type Leftover,
} from '@holdfast/identity'
import { facts, moment, plain, span } from '../render.ts'
import { type CommandResult, type CommonOptions, refuseForeignOwner, type Wiring } from '../wiring.ts'
import { type RaceResult, race } from './doctor-race.ts'

export interface DoctorOptions extends CommonOptions {
  readonly race?: number
  readonly name: 'device' | 'gateway'
}

/**
 * Look at an install's identity and all around it, clear what dead processes left there, and say what helps. Ends with 1
 * where the identity cannot be used as things stand.
 */
export async function doctor(
  wiring: Wiring,
  _argument: string,
  options: DoctorOptions,
): Promise<CommandResult> {
  const place =
    options.stateDir === undefined
      ? { app: wiring.location.app, profile: options.profile }
      : { app: wiring.location.app, directory: wiring.location.directory }
  const seen = await inspectIdentity({ ...place, name: options.name, clearLeftovers: isOwn(wiring) })
  if (options.race !== undefined) refuseForeignOwner(wiring)
  const raced = options.race === undefined ? null : await race(wiring, options.race)
  const { identity, ...rest } = seen
  return {
    json: {
      ...rest,
      identity: identity && { ...identity, publicKey: formatPublicKey(identity.publicKey) },
      paths: seen.paths.map(path => ({ ...path, mode: path.mode?.toString(8).padStart(4, '0') ?? null })),
      race: raced,
    },
    lines: [
      ...facts([
        ['state', `${wiring.location.directory} (chosen by ${chooserOf(wiring)})`],
        ['disk', diskOf(seen)],
        ['device id', identity?.deviceId ?? 'none'],
        ...(identity === null ? [] : ([['created', moment(identity.createdAtMs)]] as const)),
      ]),
      ...seen.paths.map(pathLine),
      ...seen.leftovers.map(leftover => leftoverLine(leftover, seen.removed)),
      ...(raced === null ? [] : [raceLine(raced)]),
      ...seen.findings.flatMap(findingLines),
      ...(seen.findings.length === 0 ? ['Nothing is wrong.'] : []),
    ],
    exitCode: seen.findings.some(({ severity }) => severity === 'error') ? 1 : 0,
  }
}

/** Another user, root included, only looks: whatever it removed or made would be in its own name. */
function isOwn(wiring: Wiring): boolean {
  return wiring.ownerUid === null || wiring.ownerUid === process.geteuid?.()
}

function chooserOf({ location }: Wiring): string {
  if (location.chosenBy === 'directory') return 'option'
  return location.chosenBy === 'environment'
    ? `HOLDFAST_DIR_${location.app.toUpperCase().replaceAll('-', '_')}`
    : "default: the user's data folder"
}

function diskOf({ fileSystem }: IdentityInspection): string {
  if (fileSystem === null) return 'unknown'
  const stays = fileSystem.ephemeral === null ? '' : ', gone after a restart'
  return `${fileSystem.type ?? 'unknown type'}${stays} (seen at ${fileSystem.seenAt})`
}

function pathLine({ path, kind, mode, ownerUid, accessList }: InspectedPath): string {
  if (kind === 'missing' || kind === 'hidden') return `  ${path}: ${kind}`
  if (mode !== null) return `  ${path}: ${kind}, ${mode.toString(8).padStart(4, '0')}, uid ${ownerUid}`
  const list = accessList === null ? 'access list unknown' : `open to ${accessList.allowed.join(', ')}`
  return `  ${path}: ${kind}, ${list}`
}

function leftoverLine(leftover: Leftover, removed: readonly string[]): string {
  const { path, kind, ownerUid, ageMs, holder, state } = leftover
  const owner = ownerUid === null ? '' : `, uid ${ownerUid}`
  const who = holder === null ? '' : `, ${plain(holder)}`
  return `  ${path}: ${kind}, ${state}, ${span(ageMs)} old${owner}${who}${removed.includes(path) ? ', removed' : ''}`
}

function raceLine({ processes, directory }: RaceResult): string {
  return `  ${processes} processes at once made one identity, once (in ${directory}, removed)`
}

function findingLines({ severity, code, path, fix }: Finding): readonly string[] {
  return [`${severity}: ${code}${path === null ? '' : ` at ${path}`}`, `  ${fix}`]
}
