// Signatures built from the definitions of RFC 8032 §5.1 with the group law itself, so that the expected verdict follows
// from how a case was made, not from what some implementation says about it.
import { createHash } from 'node:crypto'
import { Point } from '@noble/ed25519'

/** One case: raw bytes in hex, and whether it is a signature. */
export interface SignatureCase {
  readonly title: string
  readonly key: string
  readonly message: string
  readonly signature: string
  readonly valid: boolean
}

export const L = Point.CURVE().n
const P = Point.CURVE().p
type Group = typeof Point.BASE

/** The eight points of small order: the multiples of one of order 8. */
export const smallOrderPoints: readonly Group[] = (() => {
  const generator = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa')
  const points = [Point.ZERO]
  for (let i = 1; i < 8; i++) points.push((points[i - 1] ?? Point.ZERO).add(generator))
  return points
})()

/** Every 32-byte spelling of a small-order point, canonical or not: y, y + p where it fits, and either sign bit. */
export const smallOrderSpellings: readonly string[] = [
  ...new Set(
    smallOrderPoints.flatMap(point => {
      const { y } = point.toAffine()
      return [y, y + P]
        .filter(value => value < 2n ** 255n)
        .flatMap(value => [hexOf(value), hexOf(value + 2n ** 255n)])
    }),
  ),
].sort()

/** Spellings of y ≥ p that no small-order point has: y = p + 2 … p + 18. */
export const otherNonCanonicalSpellings: readonly string[] = Array.from({ length: 17 }, (_, i) => [
  hexOf(P + 2n + BigInt(i)),
  hexOf(P + 2n + BigInt(i) + 2n ** 255n),
]).flat()

/** A little-endian number of 32 bytes, in hex. */
export function hexOf(value: bigint): string {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse().toString('hex')
}

/** A signature made by the book, with a chosen key point, nonce point and scalar. */
function caseOf(
  title: string,
  a: Group,
  r: Group,
  s: bigint,
  message: string,
  valid: boolean,
): SignatureCase {
  return { title, key: a.toHex(), message, signature: r.toHex() + hexOf(s), valid }
}

function challenge(r: Group, a: Group, message: string): bigint {
  const digest = createHash('sha512')
    .update(Buffer.from(r.toHex() + a.toHex() + message, 'hex'))
    .digest()
  return BigInt(`0x${digest.reverse().toString('hex')}`) % L
}

const secret = 0x1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdefn % L
const nonce = 0x0fedcba987654321fedcba987654321fedcba987654321fedcba987654321fedn % L
const publicPoint = Point.BASE.multiply(secret)
const noncePoint = Point.BASE.multiply(nonce)
const torsion = smallOrderPoints[1] ?? Point.ZERO

function messageWhere(accept: (message: string) => boolean): string {
  for (let i = 0; ; i++) {
    const message = Buffer.from(`message ${i}`).toString('hex')
    if (accept(message)) return message
  }
}

/** What the unbatched equation without cofactor decides, on every kind of key and nonce point. */
export const constructedCases: readonly SignatureCase[] = [
  caseOf('an honest signature', publicPoint, noncePoint, sOf(noncePoint, publicPoint, '00'), '00', true),
  caseOf('over another message', publicPoint, noncePoint, sOf(noncePoint, publicPoint, '00'), '01', false),
  ...mixedOrderKeys(),
  ...mixedOrderNonces(),
  caseOf('S + L', publicPoint, noncePoint, sOf(noncePoint, publicPoint, '00') + L, '00', false),
  caseOf('S = L', publicPoint, noncePoint, L, '00', false),
  caseOf('S = 0', publicPoint, noncePoint, 0n, '00', false),
  ...smallOrderPoints.map((r, i) =>
    caseOf(`R of small order ${i}`, publicPoint, r, sOf(r, publicPoint, '00', 0n), '00', false),
  ),
  ...smallOrderSpellings.map(key => ({
    title: `nobody’s key ${key}`,
    key,
    message: '00',
    signature: Point.ZERO.toHex() + hexOf(0n),
    valid: false,
  })),
]

function sOf(r: Group, a: Group, message: string, from: bigint = nonce): bigint {
  return (from + challenge(r, a, message) * secret) % L
}

/** A key with a component of order 8: the equation holds exactly where the challenge takes that component to zero. */
function mixedOrderKeys(): readonly SignatureCase[] {
  const a = publicPoint.add(torsion)
  const vanishes = messageWhere(message => challenge(noncePoint, a, message) % 8n === 0n)
  const stays = messageWhere(message => challenge(noncePoint, a, message) % 8n !== 0n)
  return [
    caseOf('a mixed-order key, component gone', a, noncePoint, sOf(noncePoint, a, vanishes), vanishes, true),
    caseOf('a mixed-order key, component left', a, noncePoint, sOf(noncePoint, a, stays), stays, false),
  ]
}

/** A nonce point with a component of order 8 satisfies only the equation with the cofactor. */
function mixedOrderNonces(): readonly SignatureCase[] {
  const r = noncePoint.add(torsion)
  return [caseOf('a mixed-order R', publicPoint, r, sOf(r, publicPoint, '00'), '00', false)]
}

/** RFC 8032 §7.1, tests 1, 2, 3 and SHA(abc). */
export const rfcVectors = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    key: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    key: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    key: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
  {
    seed: '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
    key: 'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
    message:
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    signature:
      'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704',
  },
] as const
