import { type DeviceId, findIdentity, type PublicKey, parsePublicKey } from '@holdfast/identity'
import type { JoinCodeRecord, PairingStore } from '@holdfast/pairing-store'
import { CommandError } from '../errors.ts'
import { deviceLabel, moment, plain, span, table } from '../render.ts'
import {
  type CommandResult,
  type CommonOptions,
  placeOptions,
  type Wiring,
  withNewStore,
  withStore,
} from '../wiring.ts'

const BY = { kind: 'store-writer' } as const

/** What a device is to have, before it ever comes. */
interface Given extends CommonOptions {
  readonly role: string
  readonly scopes?: readonly string[]
  readonly name?: string
}

export interface InviteOptions extends Given {
  readonly minutes: number
  readonly list?: boolean
  readonly withdraw?: string
}

/** A join code, printed this once; or those that are live, or one less of them. */
export async function invite(
  wiring: Wiring,
  _argument: string,
  options: InviteOptions,
): Promise<CommandResult> {
  if (options.list === true) return withStore(wiring, store => list(wiring, store))
  const { withdraw } = options
  if (withdraw !== undefined) return withStore(wiring, store => takeBack(wiring, store, withdraw))
  const { role, scopes, ...given } = givenBy(options)
  const answer = await withStore(wiring, store =>
    store.createJoinCode({ by: BY, role, scopes, ttlMs: options.minutes * 60_000, ...given }),
  )
  switch (answer.outcome) {
    case 'made': {
      const { code, joinCode } = answer
      const gatewayId = await gatewayIdOf(wiring)
      return {
        json: { code, joinCode, gatewayId },
        lines: [
          code,
          `Good for ${span(joinCode.expiresAtMs - wiring.nowMs())} and one device, with ${joinCode.role}: ${described(joinCode.scopes)}.`,
          `On that host, with the code on standard input: holdfast join URL --gateway-id ${gatewayId ?? 'ID'}`,
        ],
      }
    }
    case 'codes-full':
      throw new CommandError('CODES_FULL', { fix: `holdfast invite --list ${placeOptions(wiring)}` })
    default:
      throw refusalOf(answer, options)
  }
}

/** Where no gateway ever ran on this state directory it has no key yet, and its id is to be had from it later. */
async function gatewayIdOf({ location }: Wiring): Promise<DeviceId | null> {
  const identity = await findIdentity({ directory: location.directory, name: 'gateway' })
  return identity?.id ?? null
}

/** A device that is let in by its key, though nobody has seen it yet. */
export async function preregister(wiring: Wiring, argument: string, options: Given): Promise<CommandResult> {
  const publicKey = parseKey(argument)
  const answer = await withNewStore(wiring, store =>
    store.preregisterDevice({ by: BY, publicKey, ...givenBy(options) }),
  )
  switch (answer.outcome) {
    case 'registered':
    case 'known': {
      const { device, outcome } = answer
      const label = deviceLabel(device.deviceId, device.name)
      const said = outcome === 'known' ? 'is known already, and stays as it is' : 'is let in when it connects'
      return { json: { registered: outcome === 'registered', device }, lines: [`${label} ${said}.`] }
    }
    case 'device-revoked':
      throw new CommandError('DEVICE_REVOKED', {
        deviceId: plain(argument),
        fix: `holdfast devices ${placeOptions(wiring)}`,
      })
    case 'approver-too-small':
      throw refusalOf(answer, options)
    default:
      throw refusalOf({ outcome: answer.outcome }, options)
  }
}

async function list(wiring: Wiring, store: PairingStore): Promise<CommandResult> {
  const joinCodes = await store.listJoinCodes()
  const rows = joinCodes.map(each => [
    each.codeId,
    each.name === null ? '-' : `"${plain(each.name, 40)}"`,
    each.role,
    described(each.scopes),
    each.spentBy === null ? 'nobody' : each.spentBy.slice(0, 12),
    span(each.expiresAtMs - wiring.nowMs()),
  ])
  const headings = ['join code', 'name', 'role', 'scopes', 'spent by', 'expires in']
  return { json: { joinCodes }, lines: rows.length === 0 ? ['No join code.'] : table(headings, rows) }
}

async function takeBack(wiring: Wiring, store: PairingStore, codeId: string): Promise<CommandResult> {
  const answer = await store.withdrawJoinCode(codeId, { by: BY })
  if (answer.outcome === 'withdrawn') {
    return { json: { withdrawn: answer.joinCode }, lines: spentNote(answer.joinCode) }
  }
  if (answer.outcome === 'approver-too-small') throw refusalOf(answer, { role: '' })
  throw new CommandError('CODE_UNKNOWN', {
    codeId: plain(codeId),
    fix: `holdfast invite --list ${placeOptions(wiring)}`,
  })
}

function spentNote({ spentBy, spentAtMs }: JoinCodeRecord): string[] {
  if (spentBy === null) return ['Withdrawn. Nobody had spent it.']
  return [`Withdrawn. ${spentBy.slice(0, 12)} had spent it ${moment(spentAtMs)}, and keeps what it gave.`]
}

function givenBy({ role, scopes, name }: Given) {
  if (scopes === undefined)
    throw new CommandError('USAGE', { reason: '--scopes is needed; `none` for the bare role' })
  return { role, scopes, ...(name !== undefined && { name }) }
}

type Refused =
  | { readonly outcome: 'role-unknown' | 'scope-unknown' }
  | { readonly outcome: 'approver-too-small'; readonly missing: readonly Scope[] }

type Scope = JoinCodeRecord['scopes'][number]

function refusalOf(answer: Refused, asked: Pick<Given, 'role' | 'scopes'>): CommandError {
  switch (answer.outcome) {
    case 'role-unknown':
      return new CommandError('ROLE_UNKNOWN', { role: plain(asked.role) })
    case 'scope-unknown':
      return new CommandError('SCOPE_UNKNOWN', { scopes: (asked.scopes ?? []).map(scope => plain(scope)) })
    case 'approver-too-small':
      return new CommandError('APPROVER_TOO_SMALL', { missing: answer.missing })
  }
}

function described(scopes: readonly string[]): string {
  return scopes.join(' ') || '(the role)'
}

function parseKey(text: string): PublicKey {
  const key = parsePublicKey(text)
  if (key !== null) return key
  throw new CommandError('USAGE', { reason: 'A public key is 43 characters, as `holdfast id` prints it' })
}
