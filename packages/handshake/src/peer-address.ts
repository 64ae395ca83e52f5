import { BlockList, isIP, SocketAddress } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/**
 * The one spelling of an IP literal: an IPv4-mapped IPv6 address is its IPv4 address, IPv6 is compressed and lower case,
 * a zone is dropped. `null` where the text is no IP literal. Every limiter and every test of locality uses it.
 */
export function canonicalAddress(text: string): string | null {
  const bare = text.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '')
  const family = isIP(bare)
  if (family === 0) return null
  if (family === 4) return bare
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' })
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return mapped?.[1] ?? address
}

/** Is this canonical address one of this machine's own (`127.0.0.0/8`, `::1`)? */
export function isLoopbackAddress(canonical: string): boolean {
  const family = isIP(canonical)
  return family !== 0 && loopback.check(canonical, family === 4 ? 'ipv4' : 'ipv6')
}
