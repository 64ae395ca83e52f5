import type { DeviceId, DeviceIdentity } from '@holdfast/identity'
import { readGatewayNoteSync } from '@holdfast/identity/state'
import type { DelegatedOptions } from '../delegated-options.ts'
import { SpawnerError } from '../errors.ts'
import type { GatewayConnection } from '../gateway-connection.ts'
import { surroundings } from './surroundings.ts'

/** Who gives, and at which gateway. Asked anew for each delegation, since chains are renewed and gateways move. */
export interface DelegationSource {
  readonly issuer: DeviceIdentity
  /** What the issuer was given itself, now; empty for a device. */
  readonly chain: readonly string[]
  readonly url: string
  readonly gatewayId: DeviceId
  readonly role: string
  /** By the gateway's clock, as far as it is known. */
  readonly nowMs: number
  /** Whose child it is to be: the app whose variables it inherits. */
  readonly app: string
}

const sources = new WeakMap<GatewayConnection, () => DelegationSource>()

/** What a connection can give is known to this package alone: no key, and no right to sign, hangs on the object. */
export function rememberSource(connection: GatewayConnection, source: () => DelegationSource): void {
  sources.set(connection, source)
}

/**
 * @throws TypeError where neither identity nor connection is given, or both
 * @throws {@link SpawnerError} `GATEWAY_NOT_FOUND`, `DELEGATION_UNSUPPORTED`
 */
export function sourceOf(options: DelegatedOptions): DelegationSource {
  const { identity, connection } = options
  if ((identity === undefined) === (connection === undefined)) {
    throw new TypeError('either identity or connection is required')
  }
  const found = connection === undefined ? sourceOfIdentity(options) : sourceOfConnection(connection)
  const { url = found.url, gatewayId = found.gatewayId, role = found.role } = options
  return { ...found, url, gatewayId, role }
}

function sourceOfConnection(connection: GatewayConnection): DelegationSource {
  const source = sources.get(connection)
  if (source !== undefined) return source()
  const fix = 'Give the identity instead, or connect by holdfast/1.'
  throw new SpawnerError('DELEGATION_UNSUPPORTED', { reason: 'connection', fix })
}

function sourceOfIdentity({ identity, url, gatewayId }: DelegatedOptions): DelegationSource {
  if (identity === undefined) throw new TypeError('an identity is required')
  const { location } = identity
  const giver = {
    issuer: identity,
    chain: [],
    role: 'operator',
    nowMs: surroundings.nowMs(),
    app: location?.app ?? 'holdfast',
  }
  if (url !== undefined && gatewayId !== undefined) return { ...giver, url, gatewayId }
  if (location === null) throw new TypeError('an identity in memory needs url and gatewayId')
  const note = readGatewayNoteSync(location)
  if (note === null) {
    const fix = 'Start the gateway of this install, or give its url and gatewayId.'
    throw new SpawnerError('GATEWAY_NOT_FOUND', { path: location.gatewayNote, fix })
  }
  if (note.protocol !== 'holdfast/1') {
    const fix = 'Start the gateway with holdfast/1; without it a child can be given no right of its own.'
    throw new SpawnerError('DELEGATION_UNSUPPORTED', { reason: 'protocol', fix })
  }
  return { ...giver, url: url ?? note.url, gatewayId: gatewayId ?? note.gatewayId }
}
