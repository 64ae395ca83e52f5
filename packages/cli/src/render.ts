import { stripVTControlCharacters } from 'node:util'

/** Text that a peer may have chosen, made safe to print: no escapes, no control or direction marks, and bounded. */
export function plain(text: string, maxLength = 80): string {
  const bare = stripVTControlCharacters(text).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu, '')
  return [...bare].slice(0, maxLength).join('')
}

/**
 * A value as one line of JSON that is safe to print, and to paste into a page: the same value, in printable ASCII without
 * markup, since JSON leaves most control and direction marks as they are.
 */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u007f-\uffff]/g,
    unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** A table: a heading, and columns as wide as their widest cell. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map(row => row[column]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [headings, ...rows].map(line)
}

/** Facts under each other, their names in one column. */
export function facts(pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
}

/** A moment in UTC, to the second: `2026-11-21 22:03:09Z`. */
export function moment(atMs: number | null): string {
  if (atMs === null) return 'never'
  return new Date(atMs)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, 'Z')
}

/** How long until or since, coarse enough to read: `9 min`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  if (seconds < 90) return `${seconds} s`
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`
  if (seconds < 129_600) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

/** A name is always shown beside the first digits of its id: anybody may choose any name. */
export function deviceLabel(deviceId: string, name: string | null): string {
  return name === null ? deviceId.slice(0, 12) : `${deviceId.slice(0, 12)} "${plain(name, 40)}"`
}
