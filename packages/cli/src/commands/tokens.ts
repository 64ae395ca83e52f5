import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import type { DeviceTokenRecord, PairingStore } from '@holdfast/pairing-store'
import { CommandError } from '../errors.ts'
import { moment, plain, table } from '../render.ts'
import { type CommandResult, type CommonOptions, placeOptions, type Wiring, withStore } from '../wiring.ts'

export interface TokensOptions extends CommonOptions {
  readonly revoke?: string
  readonly rotate?: string
}

/** The device tokens of one device, one a role: never the tokens themselves, of which only hashes are stored. */
export async function tokens(
  wiring: Wiring,
  argument: string,
  options: TokensOptions,
): Promise<CommandResult> {
  const deviceId = parseDeviceId(argument)
  if (deviceId === null) {
    throw new CommandError('USAGE', { reason: 'A device id is 64 hex digits, given whole: holdfast devices' })
  }
  if (options.revoke !== undefined && options.rotate !== undefined) {
    throw new CommandError('USAGE', { reason: '--revoke and --rotate are two commands' })
  }
  const list = await withStore(wiring, async store => {
    if (options.revoke !== undefined) await change(wiring, store, deviceId, options.revoke, 'revoke')
    if (options.rotate !== undefined) await change(wiring, store, deviceId, options.rotate, 'rotate')
    if ((await store.findDevice(deviceId)) === null) throw unknownDevice(wiring, deviceId)
    return store.listDeviceTokens(deviceId)
  })
  return {
    json: { tokens: list },
    lines: list.length === 0 ? ['No device token.'] : table(['role', 'made', 'rotation'], list.map(cells)),
  }
}

async function change(
  wiring: Wiring,
  store: PairingStore,
  deviceId: DeviceId,
  role: string,
  act: 'revoke' | 'rotate',
): Promise<void> {
  const by = { kind: 'store-writer' } as const
  const answer = await (act === 'revoke'
    ? store.revokeDeviceToken(deviceId, { by, role })
    : store.rotateDeviceToken(deviceId, { by, role, delivery: 'hello' }))
  switch (answer.outcome) {
    case 'revoked':
    case 'rotated':
    case 'issued':
    case 'promised':
    case 'rotation-pending':
    case 'token-live':
      return
    case 'role-unknown':
      throw new CommandError('ROLE_UNKNOWN', { role: plain(role) })
    case 'token-absent':
      throw new CommandError('TOKEN_ABSENT', { deviceId, role: plain(role) })
    case 'unknown':
      throw unknownDevice(wiring, deviceId)
    case 'device-revoked':
      throw new CommandError('DEVICE_REVOKED', {
        deviceId,
        fix: `holdfast reinstate ${deviceId} ${placeOptions(wiring)}`,
      })
    case 'scope-unknown':
      throw new CommandError('SCOPE_UNKNOWN', { scopes: [] })
    case 'approver-too-small':
      throw new CommandError('APPROVER_TOO_SMALL', { missing: answer.missing })
  }
}

function unknownDevice(wiring: Wiring, deviceId: DeviceId): CommandError {
  return new CommandError('DEVICE_UNKNOWN', { deviceId, fix: `holdfast devices ${placeOptions(wiring)}` })
}

function cells(token: DeviceTokenRecord): string[] {
  const { pending, promisedAtMs } = token
  const rotation =
    pending !== null
      ? `new one not used yet, good until ${moment(pending.expiresAtMs)}`
      : promisedAtMs === null
        ? '-'
        : 'a new one comes with the next hello under the gateway token'
  return [token.role, moment(token.issuedAtMs), rotation]
}
