import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { exportGateway, importGateway } from '@holdfast/gateway'
import { CommandError } from '../errors.ts'
import { facts } from '../render.ts'
import { type CommandResult, refuseForeignOwner, type Wiring } from '../wiring.ts'

/** Write what makes another machine the same gateway to a new file that nobody else can read. Nothing of it is shown. */
export async function exportProvision(wiring: Wiring, path: string): Promise<CommandResult> {
  refuseForeignOwner(wiring)
  const file = resolve(path)
  const gatewayId = await exportGateway(wiring.location, file)
  return {
    json: { gatewayId, exported: file },
    lines: [
      ...facts([
        ['gateway', gatewayId],
        ['exported to', file],
      ]),
      'Whoever has this file is this gateway. Carry it over a safe way, and delete it when it has served.',
    ],
  }
}

/** Make this machine the same gateway as another, or give it the token that the others have by now. */
export async function importProvision(wiring: Wiring, path: string): Promise<CommandResult> {
  refuseForeignOwner(wiring)
  const bytes = path === '-' ? await wiring.readInput() : readWhole(resolve(path))
  try {
    const { gatewayId, token } = await importGateway(wiring.location, bytes)
    return {
      json: { gatewayId, token, stateDir: wiring.location.directory },
      lines: facts([
        ['gateway', gatewayId],
        ['gateway token', token === 'known' ? 'the one that was here' : token],
        ['kept in', wiring.location.directory],
      ]),
    }
  } finally {
    bytes.fill(0)
  }
}

function readWhole(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new CommandError('USAGE', { reason: `${path} cannot be read` }, { cause })
  }
}
