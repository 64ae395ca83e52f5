import type { ClientClaim } from '@holdfast/handshake'
import type { DeviceId, DeviceIdentity } from '@holdfast/identity'

/** What happens to a connection between hello and its end. */
export type LifecycleNotice =
  /** The socket was lost; calls under way have failed, and getting back has begun. */
  | { readonly kind: 'lost'; readonly code: number; readonly reason: string }
  /** Back again, with the same role and scopes. What the gateway sent meanwhile was missed. */
  | { readonly kind: 'reconnected'; readonly connectionId: string | null }

/**
 * Which gateway, as whom, and with what. `identity`, `app` or `directory` is required, and so are `role` and `scopes`; but not
 * in a child that was given a right of its own, where each has a default.
 */
export interface ConnectOptions {
  /** The identity to connect as. @defaultValue the one of the install that `app`, `profile` and `directory` name */
  readonly identity?: DeviceIdentity | undefined
  /**
   * A delegation that the caller made or was handed by other means: the key, and the links, the root's first. `url`, `gatewayId`,
   * `role` and `scopes` are required beside it. @defaultValue what the parent handed down, where it did
   */
  readonly delegation?: { readonly identity: DeviceIdentity; readonly chain: readonly string[] } | undefined
  /** The application whose install is meant, as in `openIdentity`. @defaultValue the install of `identity` */
  readonly app?: string | undefined
  /** One of several installs of one application. @defaultValue none */
  readonly profile?: string | undefined
  /** The state directory itself, as an absolute path. @defaultValue as `openIdentity` finds it */
  readonly directory?: string | undefined
  /** Where the gateway listens, `ws://` or `wss://`. @defaultValue what its note in the state directory says */
  readonly url?: string | undefined
  /**
   * The gateway that is meant: it has to prove it, and a note of another one is not followed. Required beside a `url` that the
   * note does not name. Under `protocol: 'openclaw'` no gateway proves its id, so that nothing is checked where `url` is
   * given. @defaultValue whichever left its note, and for this connection the same one from then on
   */
  readonly gatewayId?: DeviceId | undefined
  /**
   * The gateway token. @defaultValue the one in the state directory where it can be read, else none: a device that the
   * gateway knows needs none. To a `url` of another machine the one in the state directory is not sent.
   */
  readonly token?: string | undefined
  /**
   * A join code, shown instead of a token until this device has joined by it: for a host where nobody can approve. Where it
   * is refused, expired for one, the device's key alone is tried, so that a host may keep giving it at each start.
   *
   * @defaultValue none
   */
  readonly joinCode?: string | undefined
  /**
   * The proof family, which is never changed for an answer of the other side. Under `holdfast/1` the gateway proves itself, and
   * no secret is sent. Under `openclaw` the token is sent to whoever answers; the string of 2026.4 and later is signed, and
   * once the older one where a gateway that is not ours does not know that.
   *
   * @defaultValue `holdfast/1` where `gatewayId` is given, else what the note says
   */
  readonly protocol?: 'holdfast/1' | 'openclaw' | undefined
  /** The role asked for, `operator` for one. @defaultValue what the parent handed down */
  readonly role?: string | undefined
  /** The scopes asked for: the connection has exactly these, or there is none. @defaultValue all that the parent handed down */
  readonly scopes?: readonly string[] | undefined
  /**
   * What the client says of itself. Keep it constant for one identity: OpenClaw's gateways pin platform and family at the
   * first pairing. @defaultValue `gateway-client` in mode `backend`, this platform, no device family
   */
  readonly client?: Partial<ClientClaim> | undefined
  /**
   * How long to wait for a gateway, in ms: no wait for another attempt ends later. Four times as long for one that is there
   * and too busy to answer. 0 waits for nothing. @defaultValue 15000
   */
  readonly connectTimeoutMs?: number | undefined
  /** How long one attempt may take, from dialling to hello, in ms. @defaultValue 10000 */
  readonly handshakeTimeoutMs?: number | undefined
  /** Whether to come back after a lost socket. @defaultValue true */
  readonly reconnect?: boolean | undefined
  /** How long to try to come back after a lost socket, in ms. @defaultValue 300000 */
  readonly reconnectTimeoutMs?: number | undefined
  /** Called when the socket is lost, and when the connection is back. @defaultValue none */
  readonly onLifecycle?: ((notice: LifecycleNotice) => void) | undefined
  /** Ends the connecting; the call rejects with the signal's reason. Afterwards `close` does. @defaultValue none */
  readonly signal?: AbortSignal | undefined
}

/** The same, complete and checked. */
export interface ConnectPlan {
  readonly url: string | null
  readonly gatewayId: DeviceId | null
  readonly token: string | null
  readonly joinCode: string | null
  readonly protocol: 'holdfast/1' | 'openclaw' | null
  readonly role: string
  readonly scopes: readonly string[]
  readonly client: ClientClaim
  readonly connectTimeoutMs: number
  readonly handshakeTimeoutMs: number
  readonly reconnect: boolean
  readonly reconnectTimeoutMs: number
  readonly onLifecycle: (notice: LifecycleNotice) => void
}

/** Options with every default in its place. @throws TypeError where they cannot be meant. */
export function completeOptions(options: ConnectOptions, platform: string, version: string): ConnectPlan {
  if (options.identity === undefined && options.app === undefined && options.directory === undefined) {
    throw new TypeError('identity, app or directory is required')
  }
  const { role, scopes } = options
  if (role === undefined || scopes === undefined) throw new TypeError('role and scopes are required')
  if (options.protocol !== undefined && !['holdfast/1', 'openclaw'].includes(options.protocol)) {
    throw new TypeError(`unknown protocol ${String(options.protocol)}`)
  }
  if (options.token !== undefined && !isToken(options.token)) {
    throw new TypeError('token must be printable ASCII without blanks and |')
  }
  if (options.joinCode !== undefined && !isToken(options.joinCode)) {
    throw new TypeError('joinCode must be printable ASCII without blanks and |')
  }
  return {
    url: options.url === undefined ? null : checkUrl(options.url),
    gatewayId: options.gatewayId ?? null,
    token: options.token ?? null,
    joinCode: options.joinCode ?? null,
    protocol: options.protocol ?? null,
    role,
    scopes: [...scopes],
    client: {
      id: 'gateway-client',
      mode: 'backend',
      version,
      platform,
      deviceFamily: null,
      displayName: null,
      instanceId: null,
      ...options.client,
    },
    connectTimeoutMs: duration('connectTimeoutMs', options.connectTimeoutMs ?? 15_000),
    handshakeTimeoutMs: duration('handshakeTimeoutMs', options.handshakeTimeoutMs ?? 10_000),
    reconnect: options.reconnect ?? true,
    reconnectTimeoutMs: duration('reconnectTimeoutMs', options.reconnectTimeoutMs ?? 300_000),
    onLifecycle: options.onLifecycle ?? (() => undefined),
  }
}

/** Can this be sent as a gateway token? */
export function isToken(text: string): boolean {
  return /^[\x21-\x7b\x7d\x7e]{1,512}$/.test(text)
}

function checkUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'ws:' && url.protocol !== 'wss:')) {
    throw new TypeError('url must be ws:// or wss://')
  }
  if (url.username + url.password + url.hash !== '') {
    throw new TypeError('url must hold neither credentials nor a fragment')
  }
  return url.href
}

function duration(name: string, milliseconds: number): number {
  // Timers of Node fire at once past 2^31 - 1.
  if (milliseconds >= 0 && milliseconds <= 2_147_483_647) return milliseconds
  throw new TypeError(`${name} must be from 0 to 2147483647`)
}
