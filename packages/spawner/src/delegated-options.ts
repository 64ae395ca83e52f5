import type { DelegationCaveats } from '@holdfast/handshake'
import type { DeviceId, DeviceIdentity } from '@holdfast/identity'
import type { GatewayConnection } from './gateway-connection.ts'

/** What a child is given, and by whom. `identity` or `connection` is required. */
export interface DelegatedOptions {
  /** The identity that gives: this install's device. */
  readonly identity?: DeviceIdentity | undefined
  /**
   * The connection that gives: that of a device, or of a child that was given depth. Its gateway, and that gateway's clock,
   * are the ones that count.
   */
  readonly connection?: GatewayConnection | undefined
  /** @defaultValue that of `connection`; `operator` for an identity */
  readonly role?: string | undefined
  /** All that the child can ask for. What the giver does not have itself it does not give. */
  readonly scopes: readonly string[]
  /** How long the child's right is good unless it is renewed, in ms; a day at most. @defaultValue 900000 */
  readonly ttlMs?: number | undefined
  /** How many generations below it the child may start by rights of their own. @defaultValue 0 */
  readonly depth?: number | undefined
  /** What holds it back beside its scopes: children, connections, calls by name. @defaultValue nothing */
  readonly caveats?: Partial<DelegationCaveats> | undefined
  /** Where the gateway listens. @defaultValue that of `connection`; what its note in the install's state directory says */
  readonly url?: string | undefined
  /** The gateway at which it counts. @defaultValue as `url` */
  readonly gatewayId?: DeviceId | undefined
  /** Whether the child is given a new one while this process lives, well before the last one is over. @defaultValue true */
  readonly renew?: boolean | undefined
}

/** How long a delegation is good, unless the caller says otherwise. */
export const DEFAULT_DELEGATION_TTL_MS = 900_000
