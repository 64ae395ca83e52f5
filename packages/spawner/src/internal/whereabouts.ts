import { canonicalAddress, isLoopbackAddress } from '@holdfast/handshake'
import { isIdentityError } from '@holdfast/identity'
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
}

/**
 * Look, anew for each attempt: a gateway that restarts may listen elsewhere, and a token may have been rotated.
 *
 * @throws {@link SpawnerError} `GATEWAY_NOT_FOUND`, `GATEWAY_UNEXPECTED`, `PROTOCOL_UNSUPPORTED`,
 * `GATEWAY_TOKEN_UNUSABLE`; and what `readGatewayNote` and `readGatewayToken` throw about files that others can change.
 */
export async function findGateway(plan: ConnectPlan, location: StateLocation | null): Promise<Whereabouts> {
  const note = location === null ? null : await readGatewayNote(location)
  if (plan.url !== null) {
    const ours = isOnThisMachine(plan.url) || (note !== null && new URL(note.url).href === plan.url)
    return { url: plan.url, source: 'option', token: await findToken(plan, ours ? location : null) }
  }
  if (location === null) throw new TypeError('an identity in memory needs url, app or directory')
  if (note === null) {
    const fix = 'Start the gateway of this install, or give its url.'
    throw new SpawnerError('GATEWAY_NOT_FOUND', { path: location.gatewayNote, fix })
  }
  checkNote(note, plan, location)
  return { url: note.url, source: 'note', token: await findToken(plan, location) }
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
  const protocol = plan.protocol ?? note.protocol
  if (protocol !== 'openclaw') {
    const fix = 'Update this package, or start the gateway with the openclaw protocol.'
    throw new SpawnerError('PROTOCOL_UNSUPPORTED', { protocol, fix })
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
