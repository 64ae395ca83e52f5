/** The most characters (code points) that a device's name keeps. */
export const MAX_NAME_LENGTH = 40

/**
 * Control, format, direction and zero-width characters, fillers, private use, lone surrogates, line separators; and what
 * begins or ends a tag, wherever the name is shown.
 */
const UNSHOWN = /[<>\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu

/**
 * A name as it may be stored and shown, or `null` where nothing is left of it: at most 40 code points and never half a
 * character, no control or direction marks, nothing of zero width, no angle brackets, no runs of blanks. It proves nothing.
 */
export function cleanName(text: string | null | undefined): string | null {
  if (typeof text !== 'string') return null
  let name = ''
  let length = 0
  for (const { segment } of new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(shownOf(text))) {
    length += [...segment].length
    if (length > MAX_NAME_LENGTH) break
    name += segment
  }
  name = name.trim()
  return name === '' ? null : name
}

/** A text as the names that begin with it are stored, or `null` where none can. */
export function namePrefix(text: string): string | null {
  const prefix = shownOf(text)
  return prefix === '' || [...prefix].length > MAX_NAME_LENGTH ? null : prefix
}

function shownOf(text: string): string {
  return text
    .replace(/[\t\n\r]/g, ' ')
    .replace(UNSHOWN, '')
    .replace(/\s+/gu, ' ')
    .trim()
    .normalize('NFC')
}
