import { resolve } from 'node:path'
import { importOpenClawIdentity } from '@holdfast/openclaw'
import { facts } from '../render.ts'
import { type CommandResult, type CommonOptions, refuseForeignOwner, type Wiring } from '../wiring.ts'
import { placeOf } from './id-reset.ts'

export interface OpenClawOptions extends CommonOptions {
  readonly openclawDir?: string
}

/** Where OpenClaw's state is said to be; nothing where its own variables and the user's home say it. */
export function openClawPlace(options: OpenClawOptions): { readonly openclawDirectory?: string } {
  return options.openclawDir === undefined ? {} : { openclawDirectory: resolve(options.openclawDir) }
}

/** Make this install the device that the OpenClaw of this user is already. Ends with 1 where there is none. */
export async function importFromOpenClaw(
  wiring: Wiring,
  _argument: string,
  options: OpenClawOptions,
): Promise<CommandResult> {
  refuseForeignOwner(wiring)
  const imported = await importOpenClawIdentity({ ...placeOf(wiring, options), ...openClawPlace(options) })
  if (imported === null) {
    return { json: { imported: null }, lines: ['No OpenClaw identity is there to import.'], exitCode: 1 }
  }
  const { outcome, identity, source } = imported
  return {
    json: { imported: { outcome, deviceId: identity.id, source, path: wiring.location.deviceKey } },
    lines: facts([
      ['device id', identity.id],
      ['imported', outcome === 'adopted' ? 'now' : 'was there already'],
      ['from', source],
      ['kept in', wiring.location.deviceKey],
    ]),
  }
}
