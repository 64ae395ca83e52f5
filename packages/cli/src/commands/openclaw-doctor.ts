import { findIdentity, isIdentityError } from '@holdfast/identity'
import { inspectOpenClaw, type OpenClawTrap } from '@holdfast/openclaw'
import { helpFor } from '../openclaw-help.ts'
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
  const situation = { ...seen, installId, place: placeOptions(wiring) }
  const traps = seen.traps.map(trap => ({ ...trap, ...helpFor(trap, situation) }))
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
      ...traps.flatMap(trap => [
        `${trap.trap}: ${whatIs(trap)}`,
        `  ${trap.help}`,
        ...(trap.command === null ? [] : [`  ${trap.command}`]),
      ]),
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
      return trap.paired
        ? `device ${short(trap.deviceId)} has taken the place of others, which are still let in: ${trap.known.length}`
        : `device ${short(trap.deviceId)} is not known; other command lines of this machine are: ${trap.known.length}`
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

function short(deviceId: string): string {
  return plain(deviceId, 12)
}
