import { canonicalAddress, isLoopbackAddress } from './peer-address.ts'
import type { Refusal } from './refusals.ts'

/** What a gate knows when a WebSocket upgrade arrives. Header names are in lower case. */
export interface UpgradeFacts {
  /** The socket's remote address. */
  readonly peerAddress: string
  /** Each header once, in any order; a header sent twice has both values, joined by `, `. */
  readonly headers: ReadonlyMap<string, string>
  readonly policy: UpgradePolicy
}

export interface UpgradePolicy {
  /** Host names, in lower case and without port, that may stand in `Host` beside IP literals and `localhost`. */
  readonly allowedHosts: ReadonlySet<string>
  /** Exact origins (`scheme://host[:port]`) that a browser page may come from. */
  readonly allowedOrigins: ReadonlySet<string>
  /** Canonical addresses of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: ReadonlySet<string>
}

/** Where a connection comes from, as far as the rules care. */
export interface ConnectionOrigin {
  /** The canonical address that limits are counted by. */
  readonly source: string
  /** A loopback peer, nothing in between that shows, and no browser: what rule 10 asks for. */
  readonly directLocal: boolean
  readonly originClass: 'none' | 'browser'
}

export type UpgradeDecision =
  | { readonly outcome: 'proceed'; readonly rule: '1'; readonly origin: ConnectionOrigin }
  | { readonly outcome: 'refused'; readonly rule: '1'; readonly status: 403; readonly refusal: Refusal }

/**
 * What a WebSocket client on the same machine sends by itself. Any other header may be the mark of something in between,
 * so a connection that carries one is not direct: an allow-list, since proxies invent names and block-lists miss them.
 */
const DIRECT_HEADERS: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'upgrade',
  'user-agent',
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'pragma',
  'sec-fetch-mode',
  'sec-fetch-dest',
  'sec-fetch-site',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'sec-websocket-protocol',
])

/** Headers by which proxies say for whom they speak. */
const FORWARDING_HEADER =
  /^(forwarded|via|x-forwarded-.*|x-forwarded|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|fastly-client-ip|cf-connecting-ip(v6)?|fly-client-ip|x-envoy-.*|x-original-.*|tailscale-.*)$/

/** May this upgrade go on to a challenge? Decided before a nonce is made or a slot is taken. */
export function decideUpgrade(facts: UpgradeFacts): UpgradeDecision {
  const { headers, policy } = facts
  if (!isAllowedHost(headers.get('host'), policy)) return refused({ code: 'host-rejected' })
  const origin = headers.get('origin')
  if (origin !== undefined && !policy.allowedOrigins.has(origin)) return refused({ code: 'origin-rejected' })
  const peer = canonicalAddress(facts.peerAddress)
  if (peer === null) return refused({ code: 'proxy-unattributed', header: 'none' })
  const forwarding = [...headers.keys()].find(name => FORWARDING_HEADER.test(name))
  const originClass = origin === undefined ? 'none' : 'browser'
  if (forwarding === undefined) {
    const direct = [...headers.keys()].every(name => DIRECT_HEADERS.has(name))
    const directLocal = direct && isLoopbackAddress(peer)
    return { outcome: 'proceed', rule: '1', origin: { source: peer, directLocal, originClass } }
  }
  const source = policy.trustedProxies.has(peer) ? forwardedFor(headers.get('x-forwarded-for'), policy) : null
  if (source === null) return refused({ code: 'proxy-unattributed', header: forwarding })
  return { outcome: 'proceed', rule: '1', origin: { source, directLocal: false, originClass } }
}

function refused(refusal: Refusal): UpgradeDecision {
  return { outcome: 'refused', rule: '1', status: 403, refusal }
}

function isAllowedHost(header: string | undefined, policy: UpgradePolicy): boolean {
  if (header === undefined) return false
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/i.exec(header)
  const name = match?.[1]?.toLowerCase()
  if (name === undefined) return false
  return name === 'localhost' || canonicalAddress(name) !== null || policy.allowedHosts.has(name)
}

/**
 * The client that a chain of trusted proxies names: walked from the right, past the proxies that are trusted. A loopback
 * address in the chain names nobody, since whoever sent it could have written it there.
 */
function forwardedFor(chain: string | undefined, policy: UpgradePolicy): string | null {
  const hops = (chain ?? '').split(',').map(hop => canonicalAddress(hop.trim()))
  for (const hop of hops.reverse()) {
    if (hop === null) return null
    if (policy.trustedProxies.has(hop)) continue
    return isLoopbackAddress(hop) ? null : hop
  }
  return null
}
