import { isIPv4, isIPv6 } from 'node:net'
import type { AddressSet } from './address-set.ts'
import { canonicalAddress, isLoopbackAddress } from './peer-address.ts'
import type { Refusal } from './refusals.ts'

/** What a gate knows when a WebSocket upgrade arrives. */
export interface UpgradeFacts {
  /** The socket's remote address, in any spelling. */
  readonly peerAddress: string
  /**
   * Every header by its name in lower case; of one that was sent twice both values, joined by `, `. Node's `req.headers`
   * will not do, since it hides a second `Host`: build it from `req.rawHeaders`.
   */
  readonly headers: ReadonlyMap<string, string>
  readonly policy: UpgradePolicy
}

/** What the gateway's author configured about the way in. */
export interface UpgradePolicy {
  /** Host names, in lower case and without port, that may stand in `Host` beside IP literals and `localhost`. */
  readonly allowedHosts: ReadonlySet<string>
  /** Exact origins (`scheme://host[:port]`) that a browser page may come from. `null` is never one. */
  readonly allowedOrigins: ReadonlySet<string>
  /** Proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: AddressSet
  /** Peers beside those of loopback that count as this machine's own: other containers, for one. */
  readonly localPeers: AddressSet
}

/** Where a connection comes from, as far as the rules care. */
export interface ConnectionOrigin {
  /** The canonical address that limits are counted by. */
  readonly source: string
  /** A loopback or configured local peer, nothing in between that shows, and no browser: what rule 10 asks for. */
  readonly directLocal: boolean
  readonly originClass: 'none' | 'browser'
}

/** What was decided before the upgrade; a refusal is an HTTP status, nothing is accepted and no challenge is made. */
export type UpgradeDecision =
  | { readonly outcome: 'proceed'; readonly rule: '1'; readonly origin: ConnectionOrigin }
  | { readonly outcome: 'refused'; readonly rule: '1'; readonly status: 403; readonly refusal: Refusal }

/**
 * What a WebSocket client on the same machine sends by itself (`ws`, and the one of Node). Any other header may be the mark of something in between,
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
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
  'sec-websocket-protocol',
])

/** Headers by which proxies say for whom they speak. */
const FORWARDING_HEADER =
  /^(forwarded|via|x-forwarded-.*|x-forwarded|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip|fastly-client-ip|cf-connecting-ip(v6)?|fly-client-ip|x-envoy-.*|x-original-.*|tailscale-.*)$/

/**
 * May this upgrade go on to a challenge, and where does it come from? A total, pure function, asked before a nonce is
 * made or a slot is taken.
 */
export function decideUpgrade(facts: UpgradeFacts): UpgradeDecision {
  const { headers, policy } = facts
  if (!isAllowedHost(headers.get('host'), policy)) return refused({ code: 'host-rejected' })
  const page = headers.get('origin')
  if (page !== undefined && !isAllowedOrigin(page, policy)) return refused({ code: 'origin-rejected' })
  const originClass = page === undefined ? 'none' : 'browser'

  const names = [...headers.keys()]
  const peer = canonicalAddress(facts.peerAddress)
  const forwarding = names.find(name => FORWARDING_HEADER.test(name))
  // Without an address a peer is nobody's: no limit could count it, no proxy vouch for it.
  if (peer === null) return refused({ code: 'proxy-unattributed', header: forwarding ?? 'none' })
  if (forwarding === undefined) {
    // What comes from a proxy is never the proxy's own, whether it says for whom it speaks or forgot to.
    const direct = names.every(name => DIRECT_HEADERS.has(name)) && !policy.trustedProxies.has(peer)
    const directLocal = direct && (isLoopbackAddress(peer) || policy.localPeers.has(peer))
    return { outcome: 'proceed', rule: '1', origin: { source: peer, directLocal, originClass } }
  }
  const source = policy.trustedProxies.has(peer) ? forwardedFor(headers.get('x-forwarded-for'), policy) : null
  if (source === null) return refused({ code: 'proxy-unattributed', header: forwarding })
  return { outcome: 'proceed', rule: '1', origin: { source, directLocal: false, originClass } }
}

function refused(refusal: Refusal): UpgradeDecision {
  return { outcome: 'refused', rule: '1', status: 403, refusal }
}

/** `name[:port]`, `IPv4[:port]` or `[IPv6][:port]` (RFC 9110 §7.2), and nothing around it. */
function isAllowedHost(header: string | undefined, policy: UpgradePolicy): boolean {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(header ?? '')
  if (match === null) return false
  const name = match[2]?.toLowerCase()
  if (name === undefined) return isIPv6(match[1] ?? '')
  return name === 'localhost' || isIPv4(name) || policy.allowedHosts.has(name)
}

/** `null` is what every sandboxed page and local file calls itself, so no list can mean one of them by it. */
function isAllowedOrigin(page: string, policy: UpgradePolicy): boolean {
  return page !== 'null' && policy.allowedOrigins.has(page)
}

/**
 * The client that a chain of trusted proxies names, or `null`: walked from the right, past the proxies that are trusted,
 * since each hop vouches only for the one on its left. A loopback address names nobody, since whoever sent it could have
 * written it there.
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
