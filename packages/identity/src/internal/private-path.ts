/** A file in a directory of its own inside the state directory, such as `gateway-token/token`. */
export type PrivatePath = `${string}/${string}`

/** The two names of a {@link PrivatePath}. @throws TypeError where they are not plain lower-case names. */
export function splitPrivatePath(path: PrivatePath): { readonly folder: string; readonly file: string } {
  const names = /^([a-z][a-z0-9-]{0,63})\/([a-z][a-z0-9.-]{0,63})$/.exec(path)
  if (names === null) throw new TypeError('a private path is <folder>/<file> in lower-case names')
  return { folder: names[1] ?? '', file: names[2] ?? '' }
}
