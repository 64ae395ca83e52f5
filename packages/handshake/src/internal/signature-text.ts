/** 64 bytes in base64url or base64, padded or not where that is usual, each in its one spelling; else `null`. */
export function parseSignature(text: string): Uint8Array | null {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== 64) return null
  const bare = bytes.toString('base64url')
  return [bare, `${bare}==`, bytes.toString('base64')].includes(text) ? bytes : null
}
