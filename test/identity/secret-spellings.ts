import { createHash } from 'node:crypto'

/**
 * Which spellings of a secret turn up in an output, by any half of it: text encodings, raw bytes, as they stand in the
 * middle of something longer (PEM), as lists of numbers, and the number itself. White space and line ends do not hide it.
 */
export function secretsIn(output: string | Uint8Array, secret: Uint8Array): readonly string[] {
  const raw = Buffer.from(output as Uint8Array)
  const latin = raw.toString('latin1')
  const text = latin.replaceAll(/\s|\\n|\\r/g, '')
  const found = new Set<string>()
  for (const [name, half] of halvesOf(secret)) {
    for (const [spelling, sought] of Object.entries(spellingsOf(half))) {
      if (text.includes(sought)) found.add(`${name} as ${spelling}`)
    }
    if (latin.includes(half.toString('latin1'))) found.add(`${name} as bytes`)
    if (raw.includes(Buffer.from(half.toString('hex'), 'utf16le'))) found.add(`${name} as wide hex`)
    if (raw.includes(Buffer.from(half.toString('base64url').slice(0, 20), 'utf16le')))
      found.add(`${name} as wide base64url`)
  }
  return [...found]
}

/** The 32-byte secret, and the scalar that is made of it, which signs as well (RFC 8032 §5.1.5). */
function halvesOf(secret: Uint8Array): readonly [string, Buffer][] {
  const scalar = createHash('sha512').update(secret).digest().subarray(0, 32)
  return [
    ['first half', Buffer.from(secret.subarray(0, 16))],
    ['second half', Buffer.from(secret.subarray(16, 32))],
    ['scalar', scalar.subarray(1, 17)],
  ]
}

function spellingsOf(half: Buffer): Readonly<Record<string, string>> {
  const numbers = [...half]
  return {
    hex: half.toString('hex'),
    'upper-case hex': half.toString('hex').toUpperCase(),
    'hex with colons': half.toString('hex').replaceAll(/..(?!$)/g, '$&:'),
    ...Object.fromEntries(
      [0, 1, 2].flatMap(shift => {
        // In the middle of something longer, what surrounds the secret colours its first and last characters.
        const middle = Buffer.concat([Buffer.alloc(shift), half])
        return (['base64', 'base64url'] as const).map(encoding => [
          `${encoding} at ${shift}`,
          middle
            .toString(encoding)
            .replaceAll('=', '')
            .slice(shift + 1, -1),
        ])
      }),
    ),
    'a list of numbers': numbers.join(),
    'an object of numbers': numbers.map((value, index) => `"${index}":${value}`).join(),
    'escaped text': JSON.stringify(half.toString('latin1')).slice(1, -1),
    'percent encoding': numbers.map(value => `%${value.toString(16).padStart(2, '0')}`).join(''),
  }
}
