import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  type AddressSet,
  type ConnectionOrigin,
  isPrivateRange,
  parseAddresses,
  type Refusal,
  type UpgradePolicy,
} from '@holdfast/handshake'
import type { SocketClass } from './budgets.ts'
import type { GateClock } from './clock.ts'
import type { LocalEnd } from './own-addresses.ts'

/** Whom a server that upgrades by itself hands over: the socket's address, and the headers of the upgrade request. */
export interface GatePeer {
  /** The remote address of the socket itself, as `socket.remoteAddress` gives it. */
  readonly address: string
  /** Names in any case; a list where a header was sent more than once. All of them: a missing one is taken as not sent. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The socket's own end, as `socket.localAddress` and `localPort` give it. @defaultValue only the public addresses count */
  readonly local?: LocalEnd
}

/** What an author allows before an upgrade. */
export interface UpgradeOptions {
  /** Host names, without port, that may stand in `Host` beside IP literals and `localhost`. @defaultValue none */
  readonly allowedHosts?: readonly string[]
  /** Exact origins (`https://example.org:8443`) of browser pages. @defaultValue none */
  readonly allowedOrigins?: readonly string[]
  /** Addresses or networks (`10.1.0.0/24`) of proxies whose `X-Forwarded-For` is believed. @defaultValue none */
  readonly trustedProxies?: readonly string[]
  /**
   * Private addresses or networks of peers that count as this machine's own, as loopback does: containers that share a
   * network with the gate's. Whoever sends from there and holds the gateway token can register itself; a port that is
   * published may let everybody appear as the network's own gateway address. @defaultValue none
   */
  readonly localPeers?: readonly string[]
}

/** @throws TypeError where an origin or an address could never match, or a local peer could be anybody. */
export function upgradePolicyOf(options: UpgradeOptions): UpgradePolicy {
  return {
    allowedHosts: new Set(options.allowedHosts?.map(host => host.toLowerCase())),
    allowedOrigins: new Set(options.allowedOrigins?.map(checkOrigin)),
    trustedProxies: oneOf(options.trustedProxies?.map(checkProxy)),
    localPeers: oneOf(options.localPeers?.map(checkLocalPeer)),
  }
}

function checkOrigin(origin: string): string {
  const url = URL.canParse(origin) ? new URL(origin) : null
  const spelled = url === null ? null : url.origin === 'null' ? `${url.protocol}//${url.host}` : url.origin
  if (origin !== spelled) throw new TypeError('an allowed origin is scheme://host[:port] as browsers send it')
  return origin
}

function checkProxy(text: string): AddressSet {
  const addresses = parseAddresses(text)
  if (addresses === null)
    throw new TypeError('a trusted proxy is an IP literal or a network in CIDR notation')
  return addresses
}

function checkLocalPeer(text: string): AddressSet {
  const addresses = isPrivateRange(text) ? parseAddresses(text) : null
  if (addresses === null)
    throw new TypeError('a local peer is a private IP literal or network in CIDR notation')
  return addresses
}

function oneOf(sets: readonly AddressSet[] = []): AddressSet {
  return { has: address => sets.some(set => set.has(address)) }
}

/** Each header once, in lower case; values of one sent twice are joined, so that a doubled `Host` matches nothing. */
export function headersOfRequest(request: IncomingMessage): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  const raw = request.rawHeaders
  for (let index = 0; index + 1 < raw.length; index += 2) add(headers, raw[index] ?? '', raw[index + 1] ?? '')
  return headers
}

export function headersOfPeer(peer: GatePeer): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(peer.headers)) {
    if (value === undefined) continue
    for (const each of typeof value === 'string' ? [value] : value) add(headers, name, each)
  }
  return headers
}

function add(headers: Map<string, string>, name: string, value: string): void {
  const key = name.toLowerCase()
  const before = headers.get(key)
  headers.set(key, before === undefined ? value : `${before}, ${value}`)
}

/** Peers of one class compete for places with each other only. */
export function socketClassOf(origin: ConnectionOrigin): SocketClass {
  if (origin.originClass === 'browser') return 'browser'
  return origin.directLocal ? 'local' : 'remote'
}

/**
 * Ends an upgrade request with an HTTP answer: nothing was upgraded, and the peer learns the one word that it needs. Bytes
 * that it sent along are read and dropped, since closing over unread ones would take the answer back.
 */
export function refuseUpgrade(
  socket: Duplex,
  refused: { readonly status: 403 | 503; readonly refusal: Refusal },
  patience: { readonly clock: GateClock; readonly graceMs: number },
): void {
  const { status, refusal } = refused
  const body = JSON.stringify({
    refusal: refusal.code,
    ...('header' in refusal && { header: refusal.header }),
  })
  const head = [
    `HTTP/1.1 ${status} ${status === 403 ? 'Forbidden' : 'Service Unavailable'}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    '',
    '',
  ].join('\r\n')
  const callOff = patience.clock.after(patience.graceMs, () => socket.destroy())
  socket.once('close', callOff)
  // The peer may be gone already; an error without a listener would end the process.
  socket.once('error', () => socket.destroy())
  socket.once('end', () => socket.destroy())
  socket.end(head + body)
  socket.resume()
}
