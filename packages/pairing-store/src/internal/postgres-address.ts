/** Where a PostgreSQL store is, in words that may be shown to anybody. */
export interface PostgresAddress {
  /** `postgres://host:port/database`: no user, no password, no options. */
  readonly shown: string
  /** Does the text that was parsed hold a password? */
  readonly hasPassword: boolean
}

/**
 * What a text says about a PostgreSQL server, or `null` where it is not the address of one (a path, for one). An address
 * that cannot be read gives the bare scheme, since nobody knows where in it a password is.
 */
export function parsePostgresUrl(text: string): PostgresAddress | null {
  const scheme = /^(postgres|postgresql):\/\//i.exec(text)
  if (scheme === null) return null
  if (!URL.canParse(text)) return { shown: 'postgres://', hasPassword: text.includes('@') }
  const url = new URL(text)
  // The driver reads these out of the query as well: a socket's directory, for one.
  const host = url.searchParams.get('host') ?? (url.hostname || 'localhost')
  const port = url.searchParams.get('port') ?? (url.port || '5432')
  const hasPassword = url.password !== '' || url.searchParams.has('password')
  return { shown: shownAddress({ host, port, database: url.pathname.slice(1) }), hasPassword }
}

export function shownAddress(parts: {
  readonly host?: unknown
  readonly port?: unknown
  readonly database?: unknown
}): string {
  const { host = 'localhost', port = 5432, database = '' } = parts
  const name = String(host)
  return `postgres://${name.includes(':') && !name.startsWith('[') ? `[${name}]` : name}:${port}/${database}`
}
