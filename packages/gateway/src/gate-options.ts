import type { RoleDeclarations, RoleTable } from '@holdfast/handshake'
import type { DeviceIdentity } from '@holdfast/identity'
import type { PairingStore } from '@holdfast/pairing-store'
import type { AuditHeadKeeper } from './audit-watch.ts'
import type { GateClock } from './clock.ts'
import type { GatewayTokenSource } from './gateway-token.ts'
import type { GateLimits } from './limits.ts'
import type { GateMethod } from './methods.ts'
import type { UpgradeOptions } from './upgrade.ts'

/** What an author decides about a gate. */
export interface GateOptions extends UpgradeOptions {
  /** Who is trusted, and with what. The gate does not close it. */
  readonly store: PairingStore
  /** The gateway's own identity: not a device of its own store. */
  readonly identity: DeviceIdentity
  /** The shared secret, at least 22 random characters; a function is asked at each `connect`, so that it can change. */
  readonly gatewayToken: GatewayTokenSource
  /** The closed sets of roles and scopes, such as `BUILT_IN_ROLES`. */
  readonly roles: RoleDeclarations
  /**
   * May a program on this machine that holds the gateway token register itself, and what may it have without a person?
   * There is no default: `false` where TCP forwarders without headers (`ssh -L`, `socat`) lead to the gate.
   */
  readonly trustedLocal: false | { readonly ceiling: readonly string[] }
  /** Calls that the gate answers. Where it is given, the gate reads the frames. @defaultValue the frames are the author's */
  readonly methods?: Readonly<Record<string, GateMethod>>
  /**
   * Further addresses under which clients dial this gate, as `host:port` or `[IPv6]:port`: behind a proxy, a mapped port, or
   * where they dial a name. A `holdfast/1` proof for any other address than these and the socket's own is refused. Proofs of
   * the OpenClaw family do not name one. @defaultValue none
   */
  readonly publicAddresses?: readonly string[]
  /**
   * Peers without a device, over direct loopback with the gateway token: the fixed scopes they get. With `operator.pairing`
   * among them they answer requests as well, of no more than these. @defaultValue none such
   */
  readonly deviceless?: { readonly scopes: readonly string[] }
  /**
   * May a device that has proven itself by `holdfast/1` come by OpenClaw's weaker proofs again? For a key that is also used by
   * OpenClaw clients. @defaultValue false
   */
  readonly allowOpenClawProof?: boolean
  /**
   * The command that cures `pairing-required`, told to direct local peers. @defaultValue `holdfast approve <id>`, and
   * from `startGateway` with the options that name its state directory and store
   */
  readonly approveCommand?: (requestId: string) => string
  /** Where the head of the store's audit log is kept. A store that is behind it is refused. @defaultValue it is not kept */
  readonly auditHead?: AuditHeadKeeper
  /** @defaultValue `DEFAULT_LIMITS` */
  readonly limits?: Partial<GateLimits>
  /** @defaultValue the machine's clock */
  readonly clock?: GateClock
}

/** @throws TypeError where the author has not decided on local trust, or a scope is in no role. */
export function checkScopeOptions(options: GateOptions, roles: RoleTable): void {
  const { trustedLocal } = options as { readonly trustedLocal: unknown }
  const decided = trustedLocal === false || (typeof trustedLocal === 'object' && trustedLocal !== null)
  if (!decided) throw new TypeError('trustedLocal has no default: give false, or { ceiling }')
  const known = new Set([...roles.closures.values()].flatMap(scopes => [...scopes.keys()] as string[]))
  const ceiling = options.trustedLocal === false ? [] : options.trustedLocal.ceiling
  if (!Array.isArray(ceiling)) throw new TypeError('trustedLocal.ceiling is a list of scopes')
  for (const scope of [...ceiling, ...(options.deviceless?.scopes ?? [])]) {
    if (!known.has(scope)) throw new TypeError(`scope ${JSON.stringify(scope)} is in no role of the table`)
  }
}
