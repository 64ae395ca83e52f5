import { findIdentity, isIdentityError, resetIdentity } from '@holdfast/identity'
import { CommandError } from '../errors.ts'
import { facts } from '../render.ts'
import {
  type CommandResult,
  type CommonOptions,
  placeOptions,
  refuseForeignOwner,
  type Wiring,
} from '../wiring.ts'

export interface ResetCommandOptions extends CommonOptions {
  readonly yes?: boolean
  readonly name: 'device' | 'gateway'
}

/** Set the identity aside and make another, once somebody has said so. */
export async function reset(
  wiring: Wiring,
  _argument: string,
  options: ResetCommandOptions,
): Promise<CommandResult> {
  refuseForeignOwner(wiring)
  const place = { ...placeOf(wiring, options), name: options.name }
  const former = await formerId(place)
  if (!options.yes) await confirm(wiring, options, former)
  const { identity, setAside } = await resetIdentity({
    ...place,
    ...(former !== null && { deviceId: former }),
  })
  const revoke = `holdfast revoke ${former} ${placeOptions(wiring)}`
  return {
    json: { deviceId: identity.id, formerDeviceId: former, setAside },
    lines: [
      ...facts([
        ['device id', identity.id],
        ['former', former ?? (setAside === null ? 'none' : 'unreadable')],
        ['set aside in', setAside ?? 'nothing was there'],
      ]),
      ...(former === null ? [] : [`Gateways still know the former device. To shut it out: ${revoke}`]),
    ],
  }
}

/** The options that name this install to the library. */
export function placeOf(
  wiring: Wiring,
  options: CommonOptions,
): { readonly app: string; readonly directory?: string; readonly profile?: string } {
  const { app, directory } = wiring.location
  if (options.stateDir !== undefined) return { app, directory }
  return { app, ...(options.profile !== undefined && { profile: options.profile }) }
}

/** A key that cannot be used is the usual reason for a reset, and so no reason to refuse one. */
async function formerId(place: Parameters<typeof findIdentity>[0]) {
  try {
    return (await findIdentity(place))?.id ?? null
  } catch (error) {
    if (isIdentityError(error) && error.code.startsWith('KEY_')) return null
    throw error
  }
}

async function confirm(wiring: Wiring, options: ResetCommandOptions, deviceId: string | null): Promise<void> {
  const path = options.name === 'device' ? wiring.location.deviceKey : wiring.location.gatewayKey
  wiring.remark(`${path} is ${deviceId === null ? 'not a key that can be used' : `device ${deviceId}`}.`)
  wiring.remark('After a reset no gateway knows this install any more: each has to admit it anew.')
  const answer = wiring.json ? null : await wiring.ask('Set it aside and make a new one? [y/N] ')
  if (answer !== null && /^y(es)?$/i.test(answer.trim())) return
  const name = options.name === 'gateway' ? ' --name gateway' : ''
  throw new CommandError('CONFIRMATION_NEEDED', {
    path,
    deviceId,
    fix: `holdfast id reset --yes${name} ${placeOptions(wiring)}`,
  })
}
