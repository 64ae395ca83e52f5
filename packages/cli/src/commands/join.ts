import { type DeviceId, openIdentity } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'
import { facts } from '../render.ts'
import type { CommandResult, CommonOptions, Wiring } from '../wiring.ts'

const QUESTION = 'Join code (leave it empty where this device was registered beforehand): '

/**
 * Make this install a device of a gateway elsewhere: by a join code, which is never taken from the command line, where
 * other users can read it, and never sent; or by its key alone.
 */
export async function join(
  wiring: Wiring,
  url: string,
  options: CommonOptions & {
    readonly role: string
    readonly scopes?: readonly string[]
    readonly gatewayId?: DeviceId
  },
): Promise<CommandResult> {
  const { app, directory } = wiring.location
  const identity = await openIdentity(
    options.stateDir === undefined ? { app, profile: options.profile } : { app, directory },
  )
  const joinCode = ((await wiring.ask(QUESTION)) ?? (await wiring.readInput()).toString('utf8')).trim()
  const { role, scopes = [], gatewayId } = options
  const connection = await connectToGateway({
    identity,
    url,
    role,
    scopes,
    reconnect: false,
    gatewayId,
    ...(joinCode !== '' && { joinCode }),
  })
  await connection.close()
  return {
    json: { deviceId: identity.id, created: identity.created, url, role, scopes },
    lines: facts([
      ['device id', identity.id],
      ['joined', url],
      ['as', role],
    ]),
  }
}
