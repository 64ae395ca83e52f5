/** A path as one word of a command that a person may copy: into a shell, or, a path of Windows, into its command line. */
export function quoted(path: string): string {
  if (/^([a-zA-Z]:|\\)\\/.test(path)) return /^[\w:.\\~-]+$/.test(path) ? path : `"${path}"`
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
