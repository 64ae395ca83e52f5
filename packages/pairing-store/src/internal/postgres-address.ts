/** Where a PostgreSQL store is, in words that may be shown to anybody. */
export interface PostgresAddress {
  /** The same address without the password, which whoever may log in can use as it is. */
  readonly shown: string
  /** Does the text that was parsed hold a password? */
  readonly hasPassword: boolean
}

/**
 * What a text says about a PostgreSQL server, or `null` where it is not the address of one (a path, for one). Of an address
 * that cannot be read the bare scheme is shown, since nobody knows where in it a password is.
 */
export function parsePostgresUrl(text: string): PostgresAddress | null {
  if (!/^postgres(ql)?:\/\//i.test(text)) return null
  if (!URL.canParse(text)) return { shown: 'postgres://', hasPassword: text.includes('@') }
  const url = new URL(text)
  const secrets = [...url.searchParams.keys()].filter(name => /pass/i.test(name))
  const hasPassword = url.password !== '' || secrets.length > 0
  url.password = ''
  for (const name of secrets) url.searchParams.delete(name)
  return { shown: url.href, hasPassword }
}

/** The same for a pool, by the options that it was made with. */
export function shownAddress(parts: {
  readonly host?: unknown
  readonly port?: unknown
  readonly database?: unknown
}): string {
  const { host = 'localhost', port = 5432, database = '' } = parts
  return `postgres://${String(host)}:${String(port)}/${String(database)}`
}
