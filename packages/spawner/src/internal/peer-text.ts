/** A name or id of a peer's, where it is printable ASCII up to that length; else `null`, since half a name is another name. */
export function plainText(value: unknown, maxLength: number): string | null {
  return typeof value === 'string' && value.length <= maxLength && /^[\x20-\x7e]+$/.test(value) ? value : null
}

/**
 * A text of a peer's for people: cut to that length, and `?` for whatever is not printable ASCII. Anything else could steer
 * a terminal, or pass for something else in it.
 */
export function shownText(value: string, maxLength: number): string {
  const shown = value.length <= maxLength ? value : `${value.slice(0, maxLength - 3)}...`
  return shown.replace(/[^\x20-\x7e]/g, '?')
}
