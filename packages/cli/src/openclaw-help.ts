import type { DeviceId } from '@holdfast/identity'
import { shellWord } from '@holdfast/identity/state'
import type { OpenClawInspection, OpenClawTrap } from '@holdfast/openclaw'

/** What helps against a trap: in words, and as a command line where there is one. Nothing runs it but its reader. */
export interface Help {
  readonly help: string
  readonly command: string | null
}

/** What the words depend on, beside the trap. */
export interface Situation extends Pick<OpenClawInspection, 'directory' | 'kind' | 'gatewayUrl'> {
  readonly installId: DeviceId | null
  /** The options that name this install. */
  readonly place: string
}

/** What to do about a trap, for whoever runs that OpenClaw. */
export function helpFor(trap: OpenClawTrap, situation: Situation): Help {
  switch (trap.trap) {
    case 'scopes-stuck':
      return trap.deviceId === situation.installId
        ? help('Enrol this install, the gateway token on standard input:', enrolCommand(situation))
        : askAndApprove(trap.requestId)
    case 'request-poisoned':
      return rejecting(trap.requestId)
    case 'key-regenerated':
      return trap.paired
        ? help('Where nobody uses the former ones, remove them:', removeCommand(trap.known))
        : help('Connect once with the gateway token, and it is known:', HEALTH)
    case 'key-unusable':
      return trap.code === 'OPENCLAW_KEY_EXPOSED'
        ? help('If nobody else can have read it, close it:', `chmod 600 ${shellWord(trap.path)}`)
        : help('Restore it from a backup, or set it aside, so that it is not lost:', asideCommand(trap.path))
    case 'two-identities':
      return help('Stop the gateway, and set the file aside:', asideCommand(trap.path))
    case 'too-many-devices':
      return lessDevices(trap.count, situation)
    case 'token-drift':
      return help('Connect once with the gateway token, and the token is replaced:', HEALTH)
    case 'books-damaged':
      return help(
        'Stop the gateway, and restore it from a backup, or set it aside: devices of this machine are let in anew.',
        asideCommand(trap.path),
      )
  }
}

const HEALTH = 'openclaw gateway call health'
/** As many as leave a gateway of 2026.9 some air. */
const AFTERWARDS = 1_000
/** More than these a command line would not show. */
const MOST_REMOVED = 20

function help(text: string, command: string | null): Help {
  return { help: text, command }
}

function enrolCommand({ gatewayUrl, place }: Situation): string {
  return `holdfast openclaw enroll ${gatewayUrl} ${place}`
}

/** The command line of OpenClaw up to 2026.8 answers a request in the files where its gateway does not let it in. */
function askAndApprove(requestId: string | null): Help {
  return requestId !== null && isPlainId(requestId)
    ? help('Approve what it asks for:', `openclaw devices approve ${requestId}`)
    : help('Have it ask for what it needs; then look again:', HEALTH)
}

function rejecting(requestId: string): Help {
  return isPlainId(requestId)
    ? help(
        `If it is yours: openclaw devices approve ${requestId}; else:`,
        `openclaw devices reject ${requestId}`,
      )
    : help('See whose it is, and answer it:', 'openclaw devices list')
}

/** Calls are no way out of the database's limit: one that removes a single device writes all the others as well. */
function lessDevices(count: number, { directory, kind }: Situation): Help {
  if (kind !== 'database') return help('Remove those that nobody uses: openclaw devices remove ID', null)
  const database = `${directory}/state/openclaw.sqlite`
  const sql = `delete from device_pairing_paired where device_id in (select device_id from device_pairing_paired
order by coalesce(last_seen_at_ms, approved_at_ms, created_at_ms) limit ${count - AFTERWARDS})`
  return help(
    `Stop the gateway, copy ${directory}, and remove those that were seen last the longest ago:`,
    `sqlite3 ${shellWord(database)} ${shellWord(sql.replace('\n', ' '))}`,
  )
}

function removeCommand(deviceIds: readonly string[]): string {
  const known = deviceIds.filter(id => /^[0-9a-f]{64}$/.test(id)).slice(0, MOST_REMOVED)
  return known.map(id => `openclaw devices remove ${id}`).join(' && ')
}

function asideCommand(path: string): string {
  return `mv ${shellWord(path)} ${shellWord(`${path}.aside`)}`
}

/** It came out of the books, where a peer may have had a hand in it. */
function isPlainId(text: string): boolean {
  return /^[0-9A-Za-z-]{1,64}$/.test(text)
}
