import { canonicalAddress, type DialledAddress, isLoopbackAddress } from '@holdfast/handshake'
import { type DeviceId, isIdentityError } from '@holdfast/identity'
import {
  type GatewayNote,
  readGatewayNote,
  readGatewayToken,
  type StateLocation,
  shellWord,
} from '@holdfast/identity/state'
import { type ConnectPlan, isToken } from '../connect-options.ts'
import { SpawnerError } from '../errors.ts'

/** Where the gateway is, and what its token is, as far as this process can see. True for one attempt only. */
export interface Whereabouts {
  readonly url: string
  readonly source: 'note' | 'option'
  readonly token: { readonly from: 'file' | 'option'; readonly text: string } | null
  /** `null`: it is spoken to in OpenClaw's way, and proves nothing. */
  readonly gatewayId: DeviceId | null
}

/**
 * Look, anew for each attempt: a gateway that restarts may listen elsewhere, and a token may have been rotated.
 *
 * @throws {@link SpawnerError} `GATEWAY_NOT_FOUND`, `GATEWAY_UNEXPECTED`, `GATEWAY_UNPINNED`,
 * `GATEWAY_TOKEN_UNUSABLE`; and what `readGatewayNote` and `readGatewayToken` throw about files that others can change.
 */
export async function findGateway(plan: ConnectPlan, location: StateLocation | null): Promise<Whereabouts> {
  const note = location === null ? null : await readGatewayNote(location)
  if (plan.url !== null) {
    const named = note !== null && new URL(note.url).href === plan.url ? note : null
    const gatewayId = pinFor(plan.url, plan, named)
    const ours = named !== null || isOnThisMachine(plan.url)
    return {
      url: plan.url,
      source: 'option',
      token: await findToken(plan, ours ? location : null),
      gatewayId,
    }
  }
  if (location === null) throw new TypeError('an identity in memory needs url, app or directory')
  if (note === null) {
    const fix = 'Start the gateway of this install, or give its url.'
    throw new SpawnerError('GATEWAY_NOT_FOUND', { path: location.gatewayNote, fix })
  }
  checkNote(note, plan, location)
  const token = await findToken(plan, location)
  return { url: note.url, source: 'note', token, gatewayId: pinFor(note.url, plan, note) }
}

/**
 * The gateway that has to prove itself, or `null` where OpenClaw's family is spoken. That is said by an option, a pin or the
 * note, which only this user can write; never by whoever answers at the address.
 */
function pinFor(url: string, plan: ConnectPlan, note: GatewayNote | null): DeviceId | null {
  if ((plan.protocol ?? (plan.gatewayId === null ? note?.protocol : null)) === 'openclaw') return null
  const pinned = plan.gatewayId ?? note?.gatewayId
  if (pinned !== undefined) return pinned
  const fix =
    "Give its gatewayId, which it prints when it starts; or protocol: 'openclaw', where it is a gateway of OpenClaw's."
  throw new SpawnerError('GATEWAY_UNPINNED', { url, fix })
}

function checkNote(note: GatewayNote, plan: ConnectPlan, location: StateLocation): void {
  if (plan.gatewayId !== null && note.gatewayId !== plan.gatewayId) {
    throw new SpawnerError('GATEWAY_UNEXPECTED', {
      path: location.gatewayNote,
      expected: plan.gatewayId,
      found: note.gatewayId,
      fix: "Give the state directory of the gateway that is meant, or that gateway's id.",
    })
  }
}

async function findToken(plan: ConnectPlan, location: StateLocation | null): Promise<Whereabouts['token']> {
  if (plan.token !== null) return { from: 'option', text: plan.token }
  const text = location === null ? null : await readToken(location)
  if (location === null || text === null) return null
  if (isToken(text)) return { from: 'file', text }
  const fix = `Make a new one: holdfast token rotate --state-dir ${shellWord(location.directory)}`
  throw new SpawnerError('GATEWAY_TOKEN_UNUSABLE', { path: location.gatewayToken, fix })
}

/** The token file is not for everybody: where this process may not read it, the device's key has to be enough. */
async function readToken(location: StateLocation): Promise<string | null> {
  try {
    return await readGatewayToken(location)
  } catch (error) {
    if (isIdentityError(error, 'KEY_FILE_FOREIGN') || isIdentityError(error, 'KEY_FILE_UNREADABLE'))
      return null
    throw error
  }
}

/** A token that was not named by the caller goes no further than this machine, or to where the note says. */
function isOnThisMachine(url: string): boolean {
  const { hostname } = new URL(url)
  const address = canonicalAddress(hostname)
  return hostname === 'localhost' || (address !== null && isLoopbackAddress(address))
}

/** What is dialled, as a `holdfast/1` proof names it: an IP literal in its canonical spelling, or a host name. */
export function dialledBy(url: string): DialledAddress {
  const { protocol, hostname, port } = new URL(url)
  const usual = protocol === 'wss:' ? 443 : 80
  return { address: canonicalAddress(hostname) ?? hostname, port: port === '' ? usual : Number(port) }
}
