import type { GatewayAnswer, HelloOk } from '@holdfast/handshake'
import type { IssuedToken } from '@holdfast/pairing-store'
import type { GateLimits } from './limits.ts'
import type { LiveConnection } from './live-connection.ts'

/** The version of this package, as `hello-ok` names it. */
export const SERVER_VERSION = 'holdfast-0.1.0'

/** The answer to an admitted `connect`, in the shape that OpenClaw's clients read. */
export function helloOk(facts: {
  readonly connection: LiveConnection
  readonly protocol: number
  readonly limits: GateLimits
  readonly methods: readonly string[]
  readonly uptimeMs: number
  /** Made for this connection, or `null`. Nobody else sees it. */
  readonly deviceToken: IssuedToken | null
  /** Where the peer asked by `holdfast/1`. */
  readonly answer: GatewayAnswer | null
}): HelloOk {
  const { connection, limits, deviceToken, answer } = facts
  return {
    type: 'hello-ok',
    protocol: facts.protocol,
    server: { version: SERVER_VERSION, connId: connection.connectionId },
    features: { methods: facts.methods, events: ['tick'] },
    snapshot: {
      presence: [],
      health: {},
      stateVersion: { presence: 0, health: 0 },
      uptimeMs: facts.uptimeMs,
    },
    auth: {
      role: connection.role,
      scopes: connection.scopes,
      ...(deviceToken !== null && { deviceToken: deviceToken.token, issuedAtMs: deviceToken.issuedAtMs }),
    },
    policy: {
      maxPayload: limits.frameBytes,
      maxBufferedBytes: limits.bufferedBytes,
      tickIntervalMs: limits.tickIntervalMs,
    },
    ...(answer !== null && { gateway: answer }),
  }
}
