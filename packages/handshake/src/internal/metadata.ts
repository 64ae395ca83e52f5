/** Trimmed, and lower case in ASCII only: "ÄX" stays "Äx" (measured on OpenClaw). */
export function foldMetadata(value: string): string {
  return value.trim().replace(/[A-Z]/g, letter => letter.toLowerCase())
}
