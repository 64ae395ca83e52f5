/** Trimmed, and lower case in ASCII only: "ÄX" stays "Äx" (measured on OpenClaw). */
export function foldMetadata(value: string): string {
  const trimmed = value.trim()
  // Most have no capitals, and are not put together anew.
  return /[A-Z]/.test(trimmed) ? trimmed.replace(/[A-Z]/g, letter => letter.toLowerCase()) : trimmed
}
