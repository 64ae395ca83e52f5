/**
 * Where a child finds what it was given, as the marker says that its parent left in the environment. No secret: it names a
 * place that can be read once, by this process alone.
 */
export type DelegationPlace =
  /** Inherited descriptors: the delegation, and where there is one the channel for renewals. */
  | { readonly kind: 'pipe'; readonly fd: number; readonly renewalFd: number | null }
  | { readonly kind: 'file'; readonly path: string }

const PREFIX = 'HOLDFAST_DELEGATION_'

/** The variable that marks a child of this app. */
export function markerName(app: string): string {
  return PREFIX + suffixOf(app)
}

/** The app whose marker has this name. */
export function appOfMarker(name: string): string {
  return name.slice(PREFIX.length).toLowerCase().replaceAll('_', '-')
}

/** `fd:3:4`, or `file:/an/absolute/path`. */
export function formatMarker(place: DelegationPlace): string {
  if (place.kind === 'file') return `file:${place.path}`
  return `fd:${place.fd}${place.renewalFd === null ? '' : `:${place.renewalFd}`}`
}

/** The place that a marker names, or `null` where it names none. */
export function parseMarker(text: string): DelegationPlace | null {
  const pipe = /^fd:([1-9]\d{0,3}|0)(?::([1-9]\d{0,3}))?$/.exec(text)
  if (pipe)
    return { kind: 'pipe', fd: Number(pipe[1]), renewalFd: pipe[2] === undefined ? null : Number(pipe[2]) }
  return text.startsWith('file:') && text.length > 5 ? { kind: 'file', path: text.slice(5) } : null
}

type Environment = Readonly<Record<string, string | undefined>>

/** The name of the marker in this environment: of this app, or without one the only one there is. */
export function findMarker(environment: Environment, app: string | null): string | null {
  if (app !== null) return environment[markerName(app)] === undefined ? null : markerName(app)
  const names = Object.keys(environment).filter(name => name.startsWith(PREFIX))
  return names.length === 1 ? (names[0] ?? null) : null
}

/**
 * An environment for a child with a right of its own: without the variables that would lead it to the install's key, and
 * with the marker. Names are compared as Windows does, where `Path` is `PATH`.
 */
export function markedEnvironment(
  environment: Environment,
  app: string,
  marker: string,
): Record<string, string | undefined> {
  const name = markerName(app)
  const dropped = new Set([`HOLDFAST_DIR_${suffixOf(app)}`, `HOLDFAST_DEVICE_${suffixOf(app)}`, name])
  const marked = { ...environment }
  for (const each of Object.keys(marked)) if (dropped.has(each.toUpperCase())) delete marked[each]
  marked[name] = marker
  return marked
}

function suffixOf(app: string): string {
  return app.toUpperCase().replaceAll('-', '_')
}
