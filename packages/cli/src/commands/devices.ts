import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import { shellWord } from '@holdfast/identity/state'
import {
  type DeviceAnswer,
  type DeviceRecord,
  type PairingStore,
  parseDeviceCursor,
} from '@holdfast/pairing-store'
import { CommandError } from '../errors.ts'
import { deviceLabel, moment, plain, table } from '../render.ts'
import {
  type CommandResult,
  type CommonOptions,
  checkCursor,
  placeOptions,
  type Wiring,
  withStore,
} from '../wiring.ts'

const BY = { kind: 'store-writer' } as const

/** Who is known, by which trust, and with what. */
export async function devices(
  wiring: Wiring,
  _argument: string,
  options: CommonOptions & { readonly limit: number; readonly after?: string; readonly search?: string },
): Promise<CommandResult> {
  const { limit, after, search } = options
  checkCursor(after, search === undefined ? parseDeviceId : parseDeviceCursor)
  if (search === '') throw new CommandError('USAGE', { reason: '--search takes some text' })
  const page = await withStore(wiring, store =>
    store.listDevices({
      limit,
      ...(after !== undefined && { after }),
      ...(search !== undefined && { search }),
    }),
  )
  const rows = page.items.map(device => [
    device.deviceId,
    device.name === null ? '-' : `"${plain(device.name, 40)}"`,
    device.trust,
    describeRoles(device),
    moment(device.lastSeenAtMs),
  ])
  const none = search === undefined ? 'No device.' : 'No such device.'
  const lines = rows.length === 0 ? [none] : table(['device', 'name', 'trust', 'roles', 'last seen'], rows)
  const more = page.next === null ? [] : [moreLine(wiring, { limit, search, after: page.next })]
  return { json: { devices: page.items.map(describe), next: page.next }, lines: [...lines, ...more] }
}

function moreLine(
  wiring: Wiring,
  {
    limit,
    search,
    after,
  }: { readonly limit: number; readonly search: string | undefined; readonly after: string },
): string {
  const searched = search === undefined ? '' : ` --search ${shellWord(plain(search, 200))}`
  return `More: holdfast devices${searched} --limit ${limit} --after ${after} ${placeOptions(wiring)}`
}

/** Forget those that were not seen for so long. */
export async function prune(
  wiring: Wiring,
  _argument: string,
  options: CommonOptions & { readonly olderThan: number },
): Promise<CommandResult> {
  const notSeenSinceMs = wiring.nowMs() - options.olderThan
  const onProgress = (pruned: number) => wiring.progress(`${pruned} devices`)
  const { pruned } = await withStore(wiring, store =>
    store.pruneDevices({ by: BY, notSeenSinceMs, onProgress }),
  )
  if (pruned > 0) wiring.progress(null)
  return {
    json: { pruned, notSeenSinceMs },
    lines: [`Forgot ${pruned} devices that were not seen since ${moment(notSeenSinceMs)}.`],
  }
}

/** A tombstone, and what it means for new devices of that machine. */
export async function revoke(
  wiring: Wiring,
  argument: string,
  options: CommonOptions & { readonly role?: string; readonly keepRegistration?: boolean },
): Promise<CommandResult> {
  let closed = false
  const done = await change(
    wiring,
    argument,
    'Revoked',
    async (store, deviceId) => {
      const answer = await store.revokeDevice(deviceId, {
        by: BY,
        ...(options.role !== undefined && { role: options.role }),
        ...(options.keepRegistration !== undefined && { keepRegistration: options.keepRegistration }),
      })
      closed = (await store.findGatewayToken())?.registers === false
      return answer
    },
    options,
  )
  const note = `New devices of that machine need a person, until: holdfast token rotate ${placeOptions(wiring)}`
  return {
    json: { ...done.json, registrationClosed: closed },
    lines: closed ? [...done.lines, note] : done.lines,
  }
}

/** Less than the ceiling, for one role of one device. It binds the device's key: see the README. */
export function narrow(
  wiring: Wiring,
  argument: string,
  options: CommonOptions & { readonly role: string; readonly scopes: readonly string[] },
): Promise<CommandResult> {
  return change(
    wiring,
    argument,
    'Narrowed',
    (store, deviceId) => store.narrowDevice(deviceId, { by: BY, role: options.role, scopes: options.scopes }),
    options,
  )
}

/** Lifts the tombstones of a device and of its roles. */
export function reinstate(wiring: Wiring, argument: string): Promise<CommandResult> {
  return change(wiring, argument, 'Reinstated', (store, deviceId) =>
    store.reinstateDevice(deviceId, { by: BY }),
  )
}

/** The label by which people know a device. */
export function rename(
  wiring: Wiring,
  argument: string,
  options: CommonOptions & { readonly more: readonly string[] },
): Promise<CommandResult> {
  return change(wiring, argument, 'Renamed', (store, deviceId) =>
    store.renameDevice(deviceId, { by: BY, name: options.more[0] ?? '' }),
  )
}

async function change(
  wiring: Wiring,
  argument: string,
  done: string,
  act: (store: PairingStore, deviceId: DeviceId) => Promise<DeviceAnswer>,
  asked: { readonly role?: string; readonly scopes?: readonly string[] } = {},
): Promise<CommandResult> {
  const deviceId = parseDeviceId(argument)
  if (deviceId === null) {
    throw new CommandError('USAGE', { reason: 'A device id is 64 hex digits, given whole: holdfast devices' })
  }
  const answer = await withStore(wiring, store => act(store, deviceId))
  switch (answer.outcome) {
    case 'changed':
    case 'unchanged': {
      const label = deviceLabel(deviceId, answer.device.name)
      const said = answer.outcome === 'changed' ? done : 'Nothing to change'
      return {
        json: { changed: answer.outcome === 'changed', device: describe(answer.device) },
        lines: [`${said}: ${label}, ${answer.device.trust}; ${describeRoles(answer.device)}`],
      }
    }
    case 'unknown':
      throw new CommandError('DEVICE_UNKNOWN', { deviceId, fix: `holdfast devices ${placeOptions(wiring)}` })
    case 'device-revoked':
      throw new CommandError('DEVICE_REVOKED', {
        deviceId,
        fix: `holdfast reinstate ${deviceId} ${placeOptions(wiring)}`,
      })
    case 'role-unknown':
      throw new CommandError('ROLE_UNKNOWN', { role: plain(asked.role ?? '') })
    case 'scope-unknown':
      throw new CommandError('SCOPE_UNKNOWN', { scopes: (asked.scopes ?? []).map(scope => plain(scope)) })
    case 'approver-too-small':
      throw new CommandError('APPROVER_TOO_SMALL', { missing: answer.missing })
  }
}

function describe(device: DeviceRecord): Readonly<Record<string, unknown>> {
  const { roles, ...rest } = device
  return {
    ...rest,
    roles: roles.map(({ grant, ...role }) => ({ ...role, scopes: grant ?? [], granted: grant !== null })),
  }
}

function describeRoles(device: DeviceRecord): string {
  if (device.trust === 'revoked') return 'lets nobody in'
  const said = device.roles.map(({ role, grant, narrowedTo, revokedAtMs }) => {
    if (revokedAtMs !== null) return `${role}: revoked`
    const given = grant === null ? [] : [grant.join(' ') || 'the bare role']
    const bound = narrowedTo === null ? 'the ceiling' : narrowedTo.join(' ') || 'nothing'
    const local = device.trust === 'trusted-local' ? [`without a person up to ${bound}`] : []
    return `${role}: ${[...given, ...local].join(', ') || 'nothing'}`
  })
  return said.join('; ') || 'no role'
}
