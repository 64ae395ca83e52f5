import { formatPublicKey, openIdentity } from '@holdfast/identity'
import { facts, moment } from '../render.ts'
import type { CommandResult, CommonOptions, Wiring } from '../wiring.ts'

export async function id(wiring: Wiring, _argument: string, options: CommonOptions): Promise<CommandResult> {
  const identity = await openIdentity(
    options.stateDir === undefined
      ? { app: wiring.location.app, profile: options.profile }
      : { app: wiring.location.app, directory: wiring.location.directory },
  )
  const json = {
    deviceId: identity.id,
    publicKey: formatPublicKey(identity.publicKey),
    created: identity.created,
    createdAtMs: identity.createdAtMs,
    path: wiring.location.deviceKey,
  }
  return {
    json,
    lines: facts([
      ['device id', json.deviceId],
      ['public key', json.publicKey],
      ['created', identity.created ? 'now' : moment(identity.createdAtMs)],
      ['kept in', json.path],
    ]),
  }
}
