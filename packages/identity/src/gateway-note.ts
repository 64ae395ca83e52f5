import { isIP } from 'node:net'
import { type DeviceId, parseDeviceId } from './device-id.ts'
import { prepareStateDirectory } from './internal/durable-files.ts'
import { readOwned } from './internal/private-file.ts'
import { replaceFile } from './internal/replace-file.ts'
import type { StateLocation } from './internal/state-location.ts'
import { runAsync } from './internal/steps.ts'
import { readSurroundings } from './internal/surroundings.ts'

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

/** {@link readGatewayNote} for callers that cannot wait: it is one small file. */
export function readGatewayNoteSync(location: StateLocation): GatewayNote | null {
  const bytes = readOwned(location.directory, null, FILE, WRITABLE_BY_OTHERS, readSurroundings())
  return bytes === null ? null : parseNote(bytes.toString('utf8'))
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
  return { url, gatewayId: id, pid, startedAtMs, store, protocol }
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
