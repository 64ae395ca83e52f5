import { lstatSync } from 'node:fs'
import { isIP } from 'node:net'
import { type DeviceId, parseDeviceId } from './device-id.ts'
import { prepareStateDirectory } from './internal/durable-files.ts'
import { errnoOf } from './internal/errno.ts'
import { readOwned } from './internal/private-file.ts'
import { replaceFile } from './internal/replace-file.ts'
import type { StateLocation } from './internal/state-location.ts'
import { runAsync } from './internal/steps.ts'
import { readClock, readSurroundings } from './internal/surroundings.ts'

/** What a running gateway tells whoever shares its install. Nothing in it is secret. */
export interface GatewayNote {
  /** Where it listens: `ws://` (or `wss://`), an IP literal and a port, nothing more. */
  readonly url: string
  /** The id of the gateway's own key, which a client pins. */
  readonly gatewayId: DeviceId
  readonly pid: number
  /** Ms since 1970 by the gateway's clock. */
  readonly startedAtMs: number
  /** The path of its SQLite store, or null where it keeps its devices elsewhere. */
  readonly store: string | null
  /** Which proof family it speaks. */
  readonly protocol: 'openclaw' | 'holdfast/1'
}

const FILE = 'gateway.json'
/** Anybody of this user may read the note, but who could write it could send clients, and their token, elsewhere. */
const WRITABLE_BY_OTHERS = 0o022

/**
 * The note of the gateway that runs (or ran) on this state directory, or `null` where there is none, or where what is
 * there is not a note: a child waits for a note as it waits for a gateway. Whether the gateway still answers is not known.
 *
 * @throws {@link IdentityError} `KEY_FILE_EXPOSED`, `KEY_FILE_FOREIGN`, `KEY_FILE_LINKED`, `KEY_FILE_UNREADABLE`: somebody
 * else may have written it, or it cannot be read.
 */
export async function readGatewayNote(location: StateLocation): Promise<GatewayNote | null> {
  return readGatewayNoteSync(location)
}

/**
 * {@link readGatewayNote} for callers that cannot wait: it is one small file. As long as it is the very file that was read
 * last, untouched, it is looked at and not read again: who starts a hundred children asks a hundred times.
 */
export function readGatewayNoteSync(location: StateLocation): GatewayNote | null {
  const path = location.gatewayNote
  const stamp = stampOf(path)
  const known = lastRead.get(path)
  if (stamp !== null && known?.stamp === stamp) return known.note
  lastRead.delete(path)
  const bytes = readOwned(location.directory, null, FILE, WRITABLE_BY_OTHERS, readSurroundings())
  if (bytes === null) return null
  const note = parseNote(bytes.toString('utf8'))
  // Looked at before and after: what was read is what the stamp stands for.
  if (stamp !== null && stamp === stampOf(path)) lastRead.set(path, { stamp, note })
  return note
}

/** What was in each note when it was read last, and of which file, in which state. */
const lastRead = new Map<string, { readonly stamp: string; readonly note: GatewayNote | null }>()

/** As coarse as the times of any file system are, in ms: a change within one step of its clock would leave no trace. */
const COARSEST_TIME_MS = 2_000

/**
 * What changes whenever the file is written, replaced, or given another owner or mode; `null` where it cannot be told: of
 * a file that was changed only just now, or that cannot be looked at, which reading it then says.
 */
function stampOf(path: string): string | null {
  try {
    const found = lstatSync(path, { bigint: true })
    if (readClock() - Number(found.ctimeMs) < COARSEST_TIME_MS) return null
    return [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join()
  } catch (error) {
    if (errnoOf(error) !== null) return null
    throw error
  }
}

/**
 * Leave a note, in the place of the one before. A reader sees the old one or the new one, whole.
 *
 * @throws {@link IdentityError} `STATE_NOT_WRITABLE`, and what {@link readGatewayNote} throws about the directory.
 * @throws TypeError where the note is one that {@link readGatewayNote} would not take for one.
 */
export async function writeGatewayNote(location: StateLocation, note: GatewayNote): Promise<void> {
  const text = `${JSON.stringify(note, null, 2)}\n`
  if (parseNote(text) === null) throw new TypeError('not a gateway note')
  const owner = readSurroundings()
  const directory = prepareStateDirectory(location.directory, owner)
  await runAsync(replaceFile(directory, FILE, Buffer.from(text), owner))
}

function parseNote(text: string): GatewayNote | null {
  let value: unknown
  try {
    value = JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null) return null
  const { url, gatewayId, pid, startedAtMs, store, protocol } = value as Record<string, unknown>
  const id = parseDeviceId(gatewayId)
  if (typeof url !== 'string' || !isLiteralUrl(url) || id === null) return null
  if (!isCount(pid) || !isCount(startedAtMs) || !(store === null || typeof store === 'string')) return null
  if (protocol !== 'openclaw' && protocol !== 'holdfast/1') return null
  return Object.freeze({ url, gatewayId: id, pid, startedAtMs, store, protocol })
}

/** An IP literal: a name could be made to lead elsewhere. */
function isLiteralUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text)
  const plain = username + password + search + hash === '' && pathname === '/'
  const literal = isIP(hostname.replace(/^\[(.*)\]$/, '$1')) !== 0
  return (
    (protocol === 'ws:' || protocol === 'wss:') && literal && plain && (port !== '' || protocol === 'wss:')
  )
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
