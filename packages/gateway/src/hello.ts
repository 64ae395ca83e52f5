import type { GatewayAnswer, HelloOk, Role, Scope } from '@holdfast/handshake'
import type { IssuedToken } from '@holdfast/pairing-store'
import type { GateLimits } from './limits.ts'

/** The version of this package, as `hello-ok` names it. */
export const SERVER_VERSION = 'holdfast-0.1.0'

/** What one `hello-ok` says. */
export interface HelloFacts {
  readonly protocol: number
  readonly connectionId: string
  readonly role: Role
  readonly scopes: readonly Scope[]
  readonly uptimeMs: number
  /** Made for this connection, or `null`. Nobody else sees it. */
  readonly deviceToken: IssuedToken | null
  /** Where the peer asked by `holdfast/1`. */
  readonly answer: GatewayAnswer | null
}

/**
 * Writes the answers to admitted `connect`s, in the shape that OpenClaw's clients read: {@link HelloOk} in JSON. By hand, and
 * what is the same for every peer once: `JSON.stringify` of a whole frame takes 9 of the 50 µs that an admission costs
 * beyond its cryptography. Only what we made ourselves, of an alphabet without quotes, goes in as it is.
 */
export class HelloWriter {
  readonly #constant: string

  constructor(gate: { readonly limits: GateLimits; readonly methods: readonly string[] }) {
    const { limits, methods } = gate
    const constant: Pick<HelloOk, 'features' | 'policy'> = {
      features: { methods, events: ['tick'] },
      policy: {
        maxPayload: limits.frameBytes,
        maxBufferedBytes: limits.bufferedBytes,
        tickIntervalMs: limits.tickIntervalMs,
      },
    }
    this.#constant = JSON.stringify(constant).slice(1, -1)
  }

  /** The whole frame that answers this call. */
  write(callId: string, facts: HelloFacts): string {
    const { deviceToken, answer } = facts
    const server = `"server":{"version":"${SERVER_VERSION}","connId":"${facts.connectionId}"}`
    const stateVersion = '"stateVersion":{"presence":0,"health":0}'
    const snapshot = `"snapshot":{"presence":[],"health":{},${stateVersion},"uptimeMs":${facts.uptimeMs}}`
    const token =
      deviceToken === null
        ? ''
        : `,"deviceToken":"${deviceToken.token}","issuedAtMs":${deviceToken.issuedAtMs}`
    const wish = `"role":${JSON.stringify(facts.role)},"scopes":${JSON.stringify(facts.scopes)}`
    const proof =
      answer === null
        ? ''
        : `"gateway":{"publicKey":"${answer.publicKey}","signature":"${answer.signature}"},`
    const payload = `{"type":"hello-ok","protocol":${facts.protocol},${server},${snapshot},"auth":{${wish}${token}},${proof}${this.#constant}}`
    return `{"type":"res","id":${JSON.stringify(callId)},"ok":true,"payload":${payload}}`
  }
}
