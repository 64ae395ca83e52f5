// Byte checks that give the same verdict on every runtime. Encodings: RFC 8032 §5.1.2 and §5.1.3, little-endian.

/** p = 2^255 − 19, the field prime. */
const FIELD_PRIME = littleEndian('7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed')

/** L, the order of the base point. */
const GROUP_ORDER = littleEndian('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed')

/**
 * The y coordinates of the eight points of small order: 0 and ±1, and the two of order 8.
 * With the sign bit masked off, five values stand for all eight, and for the "x = 0 with sign" spellings too.
 */
const SMALL_ORDER_Y = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000001',
  '7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec',
  '7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7',
  '05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826',
].map(littleEndian)

/** Whether 32 bytes spell a point canonically (y < p) that is not one of the eight of small order. */
export function isAcceptablePoint(point: Uint8Array): boolean {
  if (point.length !== 32) return false
  const y = Uint8Array.from(point)
  y[31] = (y[31] ?? 0) & 0x7f
  return isBelow(y, FIELD_PRIME) && !SMALL_ORDER_Y.some(small => compare(y, small) === 0)
}

/** Whether 32 bytes spell a scalar below the group order: the rule that ends malleability (RFC 8032 §5.1.7). */
export function isReducedScalar(scalar: Uint8Array): boolean {
  return scalar.length === 32 && isBelow(scalar, GROUP_ORDER)
}

function isBelow(value: Uint8Array, limit: Uint8Array): boolean {
  return compare(value, limit) < 0
}

function compare(left: Uint8Array, right: Uint8Array): number {
  for (let i = 31; i >= 0; i--) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function littleEndian(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex')).reverse()
}
