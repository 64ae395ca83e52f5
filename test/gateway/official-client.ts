import { createPublicKey } from 'node:crypto'
import { type DeviceIdentity, formatPublicKey } from '@holdfast/identity'
import { GatewayClient, type GatewayClientOptions } from '@openclaw/gateway-client'
import { onTestFinished } from 'vitest'

type HostDeps = NonNullable<GatewayClientOptions['hostDeps']>
type Hello = Parameters<NonNullable<GatewayClientOptions['onHelloOk']>>[0]

/** What OpenClaw's official client asks of its host, with an identity of ours: the private key is a handle that opens nothing. */
export interface OfficialHost {
  readonly deps: HostDeps
  /** The one token that is kept for the role `operator`. */
  token: string | null
  /** What was asked for of the keeping of tokens, in order. */
  readonly asked: ('store' | 'clear')[]
}

export function officialHost(
  identity: DeviceIdentity,
  options: { readonly unwritable?: boolean } = {},
): OfficialHost {
  const handle = `handle of ${identity.id}`
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: formatPublicKey(identity.publicKey) }
  const publicKeyPem = createPublicKey({ key: jwk, format: 'jwk' })
    .export({ format: 'pem', type: 'spki' })
    .toString()
  let scopes: string[] = []
  const host: OfficialHost = {
    token: null,
    asked: [],
    deps: {
      loadOrCreateDeviceIdentity: () => ({ deviceId: identity.id, privateKeyPem: handle, publicKeyPem }),
      signDevicePayload(privateKeyPem, payload) {
        if (privateKeyPem !== handle) throw new TypeError('not the handle')
        return Buffer.from(identity.sign(new TextEncoder().encode(payload))).toString('base64url')
      },
      publicKeyRawBase64UrlFromPem: () => formatPublicKey(identity.publicKey),
      loadDeviceAuthToken: () => (host.token === null ? null : { token: host.token, scopes }),
      storeDeviceAuthToken(entry) {
        host.asked.push('store')
        if (options.unwritable) throw Object.assign(new Error('read-only file system'), { code: 'EROFS' })
        host.token = entry.token
        scopes = entry.scopes
      },
      clearDeviceAuthToken() {
        host.asked.push('clear')
        host.token = null
      },
      logDebug: () => undefined,
      logError: () => undefined,
    },
  }
  return host
}

/** One client, from its start until the test ends: it goes on by itself, as it does in the field. */
export interface OfficialRun {
  readonly client: GatewayClient
  /** Each `hello-ok`, each refusal (its `details.code`), each close and each pausing, in order. */
  readonly events: (
    | { readonly kind: 'hello'; readonly hello: Hello }
    | { readonly kind: 'refused'; readonly code: unknown; readonly details: unknown }
    | { readonly kind: 'closed'; readonly code: number }
    | { readonly kind: 'paused'; readonly code: string | null }
    | { readonly kind: 'event'; readonly event: string }
  )[]
  /** Resolves with the first event of that kind, or with the one after those that were there. */
  next<Kind extends OfficialRun['events'][number]['kind']>(
    kind: Kind,
  ): Promise<Extract<OfficialRun['events'][number], { readonly kind: Kind }>>
}

export function runOfficial(
  host: OfficialHost,
  options: Pick<GatewayClientOptions, 'url'> & GatewayClientOptions,
): OfficialRun {
  const events: OfficialRun['events'] = []
  const waiting = new Set<() => void>()
  const taken = new Map<string, number>()
  const tell = (event: OfficialRun['events'][number]) => {
    events.push(event)
    for (const wake of [...waiting]) wake()
  }
  const client = new GatewayClient({
    clientName: 'cli',
    mode: 'cli',
    platform: 'linux',
    ...options,
    hostDeps: host.deps,
    onHelloOk: hello => tell({ kind: 'hello', hello }),
    onConnectError: error => {
      const details = 'details' in error ? error.details : undefined
      tell({ kind: 'refused', code: (details as Record<string, unknown> | undefined)?.['code'], details })
    },
    onClose: code => tell({ kind: 'closed', code }),
    onReconnectPaused: ({ detailCode }) => tell({ kind: 'paused', code: detailCode }),
    onEvent: ({ event }) => tell({ kind: 'event', event }),
  })
  onTestFinished(() => client.stop())
  client.start()
  return {
    client,
    events,
    next: kind =>
      new Promise((resolve, reject) => {
        const hang = setTimeout(() => {
          waiting.delete(look)
          reject(new Error(`no ${kind} after ${JSON.stringify(events)}`))
        }, 20_000)
        const look = () => {
          const found = events.filter(event => event.kind === kind)[taken.get(kind) ?? 0]
          if (found === undefined) return
          waiting.delete(look)
          clearTimeout(hang)
          taken.set(kind, (taken.get(kind) ?? 0) + 1)
          resolve(found as never)
        }
        waiting.add(look)
        look()
      }),
  }
}
