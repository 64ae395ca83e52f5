import { createHash } from 'node:crypto'
import { Kysely, type PostgresPoolClient as KyselyClient, PostgresDialect } from 'kysely'
import type { Schema } from './schema.ts'
import type { PreparedQuery, Session } from './sql-driver.ts'

/** The tables are in a schema of their own, so that a database may serve other programs as well. */
export const STORE_SCHEMA = 'holdfast'

/** What we ask of a client of `pg`, and no more. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<unknown>
  on(event: 'error' | 'end' | 'notification', listener: (about: never) => void): unknown
}

export interface PooledClient extends PostgresClient {
  release(destroy?: boolean): void
}

interface PostgresQuery {
  readonly text: string
  readonly name?: string
  readonly values?: unknown[]
  readonly types?: { readonly getTypeParser: (oid: number) => (value: string) => unknown }
  /** In ms: the client gives up then, whatever the server does. */
  readonly query_timeout?: number
}

interface PostgresResult {
  readonly command: string
  readonly rowCount: number | null
  readonly rows: readonly unknown[]
}

/** The connection is of no use any more, or never came about. Anything that the server itself says is another error. */
export class Disconnected extends Error {
  constructor(cause: unknown) {
    super('no connection', { cause })
  }
}

const INT8 = 20
const INT4 = 23
const BOOL = 16

/** Times and sequence numbers are below 2^53. The driver gives `bigint` as text otherwise. */
const TYPES = {
  getTypeParser: (oid: number) => {
    if (oid === INT8 || oid === INT4) return Number
    return oid === BOOL ? (value: string) => value === 't' : (value: string) => value
  },
}

/** One connection, while somebody has it. */
export class PostgresSession implements Session {
  readonly #client: PostgresClient
  readonly #answerMs: number
  #db: Kysely<Schema> | null = null

  /** @param answerMs how long one statement may take */
  constructor(client: PostgresClient, answerMs: number) {
    this.#client = client
    this.#answerMs = answerMs
  }

  get db(): Kysely<Schema> {
    this.#db ??= kyselyOver(async (text, values) => this.#query({ text, values: [...values] }))
    return this.#db
  }

  async all<Values, Row>(query: PreparedQuery<Values, Row>, values: Values): Promise<readonly Row[]> {
    return this.preparedRows(query.sql, query.bind(values))
  }

  /** For what is asked again and again: the server reads the text once. */
  async preparedRows<Row>(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    const { rows } = await this.#query({ name: statementName(text), text, values: [...values] })
    return rows as readonly Row[]
  }

  /** Several statements in one message. None of them takes values. @returns the rows of the last but `skip` */
  async script(text: string, extraMs = 0): Promise<readonly PostgresResult[]> {
    const answer = await this.#send({ text, types: TYPES, query_timeout: this.#answerMs + extraMs })
    return (Array.isArray(answer) ? answer : [answer]) as readonly PostgresResult[]
  }

  async rows<Row>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    return (await this.#query({ text, values: [...values] })).rows as readonly Row[]
  }

  async #query(query: PostgresQuery): Promise<PostgresResult> {
    return (await this.#send({
      ...query,
      types: TYPES,
      query_timeout: this.#answerMs,
    })) as PostgresResult
  }

  async #send(query: PostgresQuery): Promise<unknown> {
    try {
      return await this.#client.query(query)
    } catch (error) {
      throw isServersWord(error) ? error : new Disconnected(error)
    }
  }
}

/** Did the server say it, in its own words? https://www.postgresql.org/docs/current/errcodes-appendix.html */
export function isServersWord(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'severity' in error && 'code' in error && typeof error.code === 'string'
}

const names = new Map<string, string>()

// The number of texts is bounded: none of our statements is built from data.
function statementName(text: string): string {
  let name = names.get(text)
  if (name === undefined) {
    name = `holdfast_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
    names.set(text, name)
  }
  return name
}

type Run = (text: string, values: readonly unknown[]) => Promise<PostgresResult>

/** Kysely over whatever runs a statement. */
export function kyselyOver(run: Run): Kysely<Schema> {
  const client = { query: run, release: () => undefined } as unknown as KyselyClient
  const pool = { connect: async () => client, end: async () => undefined, options: {} }
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }).withSchema(STORE_SCHEMA)
}
