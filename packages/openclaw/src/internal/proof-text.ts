/** What a signed string of OpenClaw says, as far as we act on it. */
export interface ProofText {
  readonly deviceId: string
  readonly role: string
  readonly scopes: readonly string[]
  /** The credential that stands in the same frame; empty where none does. */
  readonly credential: string
}

/**
 * The fields of a `v2` or `v3` string, or `null` where it is neither. Only the credential may hold a `|`: the others are
 * counted from the two ends.
 */
export function readProofText(text: string): ProofText | null {
  const parts = text.split('|')
  const [version, deviceId, , , role, scopes] = parts
  const behindCredential = version === 'v3' ? 3 : 1
  if ((version !== 'v2' && version !== 'v3') || parts.length < 8 + behindCredential) return null
  if (deviceId === undefined || role === undefined || scopes === undefined) return null
  return {
    deviceId,
    role,
    scopes: scopes === '' ? [] : scopes.split(','),
    credential: parts.slice(7, parts.length - behindCredential).join('|'),
  }
}

/** The `v2` string that says the same as this one, without platform and device family. */
export function asV2(text: string): string {
  if (!text.startsWith('v3|')) return text
  return `v2|${text.slice(3).split('|').slice(0, -2).join('|')}`
}
