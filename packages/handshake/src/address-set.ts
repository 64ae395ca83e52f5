import { BlockList, isIPv4 } from 'node:net'
import { canonicalAddress } from './peer-address.ts'

/** Some addresses. A `Set` of canonical ones is one, too. */
export interface AddressSet {
  /** @param canonical as `canonicalAddress` spells it */
  has(canonical: string): boolean
}

/**
 * The addresses that a text names: one IP literal, or a network in CIDR notation (RFC 4632 §3.1), such as `172.18.0.0/16`.
 * `null` where it is neither, has bits beside its prefix, which is more often a slip than meant, or names everybody.
 */
export function parseAddresses(text: string): AddressSet | null {
  const [literal = '', length, ...rest] = text.split('/')
  const address = canonicalAddress(literal)
  if (address === null || rest.length > 0) return null
  if (length === undefined) return { has: canonical => canonical === address }
  const isMapped = isIPv4(address) && !isIPv4(literal)
  const bits = isIPv4(address) ? 32 : 128
  if (isMapped || !/^[1-9]\d{0,2}$/.test(length) || Number(length) > bits) return null
  return networkOf(address, Number(length))
}

/** Do all addresses of the network or literal lie in one of those that are used within machines and sites alone? */
export function isPrivateRange(text: string): boolean {
  const [literal = '', length] = text.split('/')
  const address = canonicalAddress(literal)
  if (address === null) return false
  const prefix = Number(length ?? (isIPv4(address) ? 32 : 128))
  return PRIVATE_RANGES.some(range => prefix >= range.prefix && range.addresses.has(address))
}

function networkOf(address: string, prefix: number): AddressSet | null {
  const family = isIPv4(address) ? 'ipv4' : 'ipv6'
  if (!isNetworkAddress(address, prefix)) return null
  const network = new BlockList()
  network.addSubnet(address, prefix, family)
  return {
    has: canonical => {
      const its = isIPv4(canonical) ? 'ipv4' : 'ipv6'
      return its === family && network.check(canonical, its)
    },
  }
}

/** Are all bits after the prefix zero? */
function isNetworkAddress(address: string, prefix: number): boolean {
  const bytes = isIPv4(address) ? address.split('.').map(Number) : bytesOfIPv6(address)
  return bytes.every((byte, index) => {
    const kept = Math.min(8, Math.max(0, prefix - index * 8))
    return (byte & (0xff >> kept)) === 0
  })
}

/** Of the canonical spelling, which has no IPv4 part but the one of `::a.b.c.d`. */
function bytesOfIPv6(address: string): number[] {
  const groups = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::')
  const words = (text: string | undefined) => (text === undefined || text === '' ? [] : text.split(':'))
  const [head, tail] = [words(groups[0]), words(groups[1])]
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0')
  return [...head, ...zeros, ...tail].flatMap(word => {
    const value = Number.parseInt(word, 16)
    return [value >> 8, value & 0xff]
  })
}

/** RFC 1918, RFC 6598 (shared), RFC 3927 and RFC 4291 (link-local), RFC 4193 (unique local). */
const PRIVATE_RANGES = (
  [
    ['10.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
    ['100.64.0.0', 10],
    ['169.254.0.0', 16],
    ['fc00::', 7],
    ['fe80::', 10],
  ] as const
).flatMap(([address, prefix]) => {
  const addresses = networkOf(address, prefix)
  return addresses === null ? [] : [{ prefix, addresses }]
})
