import { isIPv4, isIPv6, SocketAddress } from 'node:net'

/**
 * The one spelling of an IP literal: an IPv4-mapped IPv6 address is its IPv4 address; other IPv6 is compressed, in lower
 * case, without brackets and zone (RFC 5952). `null` where the text is no IP literal: nothing is trimmed, and no short,
 * octal or hexadecimal form of IPv4 is taken. Every limiter and every test of locality counts by it.
 */
export function canonicalAddress(text: string): string | null {
  if (isIPv4(text)) return text
  const bare = /^\[(.*)\]$/.exec(text)?.[1] ?? text
  if (!isIPv6(bare)) return null
  const { address } = new SocketAddress({ address: bare.replace(/%.*/, ''), family: 'ipv6' })
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address)?.[1] ?? address
}

/** Is this canonical address one of this machine's own (`127.0.0.0/8`, `::1`)? */
export function isLoopbackAddress(canonical: string): boolean {
  return canonical === '::1' || (isIPv4(canonical) && canonical.startsWith('127.'))
}
