import { findIdentity, isIdentityError } from '@holdfast/identity'
import { shellWord } from '@holdfast/identity/state'
import { inspectOpenClaw, type OpenClawTrap } from '@holdfast/openclaw'
import { facts, plain } from '../render.ts'
import { type CommandResult, placeOptions, type Wiring } from '../wiring.ts'
import { placeOf } from './id-reset.ts'
import { type OpenClawOptions, openClawPlace } from './openclaw-import.ts'

/**
 * Look at the state directory of an OpenClaw, of any version, and say which of the known traps it is in, and what helps.
 * Changes nothing. Ends with 1 where there is a trap.
 */
export async function openClawDoctor(
  wiring: Wiring,
  _argument: string,
  options: OpenClawOptions,
): Promise<CommandResult> {
  const installId = await installIdOf(wiring, options)
  const place = openClawPlace(options)
  const seen = await inspectOpenClaw({ ...place, ...(installId !== null && { deviceId: installId }) })
  const traps = seen.traps.map(trap => ({ ...trap, help: helpFor(trap, wiring) }))
  return {
    json: { ...seen, traps, installDeviceId: installId },
    lines: [
      ...facts([
        ['OpenClaw', `${seen.directory} (${KINDS[seen.kind]})`],
        ['its device', seen.deviceId ?? 'none'],
        ["this install's", installId ?? 'none'],
        ['devices', String(seen.paired)],
        ['requests', String(seen.pending)],
      ]),
      ...traps.flatMap(trap => [`${trap.trap}: ${whatIs(trap)}`, `  ${trap.help}`]),
      ...(traps.length === 0 ? ['Nothing is wrong.'] : []),
    ],
    exitCode: traps.length === 0 ? 0 : 1,
  }
}

const KINDS = {
  files: '2026.2 to 2026.8',
  database: '2026.9 or later',
  none: 'no OpenClaw ever ran there',
} as const

/** A key that cannot be used is what `holdfast doctor` is for. */
async function installIdOf(wiring: Wiring, options: OpenClawOptions) {
  try {
    return (await findIdentity(placeOf(wiring, options)))?.id ?? null
  } catch (error) {
    if (isIdentityError(error)) return null
    throw error
  }
}

function whatIs(trap: OpenClawTrap): string {
  switch (trap.trap) {
    case 'scopes-stuck':
      return `device ${short(trap.deviceId)} was given no ${trap.missing.join(', ')}; asking for it waits for a person`
    case 'request-poisoned':
      return `request ${plain(trap.requestId)} of device ${short(trap.deviceId)} lies about, and holds up its later ones`
    case 'key-regenerated':
      return `device ${short(trap.deviceId)} is not known; other command lines of this machine are: ${trap.known.length}`
    case 'key-unusable':
      return `${trap.path} cannot be used (${trap.code})`
    case 'two-identities':
      return `${trap.path} holds another key than the database: the gateway may refuse to start`
    case 'too-many-devices':
      return `${trap.count} devices; with some 1,490 no handshake passes in 2026.9`
    case 'token-drift':
      return `the device token that ${short(trap.deviceId)} keeps is not the one that the gateway knows`
    case 'books-damaged':
      return `${trap.path} cannot be read: the next approval overwrites it`
  }
}

/** One command where there is one. */
function helpFor(trap: OpenClawTrap, wiring: Wiring): string {
  switch (trap.trap) {
    case 'scopes-stuck':
    case 'key-regenerated':
      return `Pipe the gateway token into: holdfast openclaw enroll ws://127.0.0.1:18789 ${placeOptions(wiring)}`
    case 'request-poisoned':
      return /^[0-9A-Za-z-]{1,64}$/.test(trap.requestId)
        ? `If it is yours: openclaw devices approve ${trap.requestId}; else: openclaw devices reject ${trap.requestId}`
        : 'See whose it is, and answer it: openclaw devices list'
    case 'key-unusable':
      return `Restore it from a backup before OpenClaw runs again, or let it make another: ls -l ${shellWord(trap.path)}`
    case 'two-identities':
      return `Stop the gateway, and set the file aside: mv ${shellWord(trap.path)} ${shellWord(`${trap.path}.aside`)}`
    case 'too-many-devices':
      return 'Remove those that nobody uses, one by one: openclaw devices remove ID'
    case 'token-drift':
      return 'Connect once with the gateway token, and the token is replaced: openclaw gateway call health'
    case 'books-damaged':
      return 'Stop the gateway, and restore the file from a backup before it starts again.'
  }
}

function short(deviceId: string): string {
  return plain(deviceId, 12)
}
