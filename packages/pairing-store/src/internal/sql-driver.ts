import type { Compilable, Kysely } from 'kysely'
import type { ChangeListener } from '../changes.ts'
import type { Schema } from './schema.ts'

/** A statement compiled once. `bind` puts values where their names stood when it was built. */
export interface PreparedQuery<Values, Row> {
  readonly sql: string
  readonly bind: (values: Values) => readonly SqlValue[]
  /** Makes a row of its values, in the order in which the statement names them: quicker than to have SQLite name each. */
  readonly rowOf?: (values: readonly SqlValue[]) => Row
  /** Never there: it carries the row's type. */
  readonly row?: Row
}

export type SqlValue = string | number | null

/** Where statements run: outside of any transaction, or inside of one. */
export interface Session {
  readonly db: Kysely<Schema>
  all<Values, Row>(query: PreparedQuery<Values, Row>, values: Values): Promise<readonly Row[]>
}

/** All that differs between one kind of database and another. */
export interface SqlDriver {
  /** Builds and compiles. What it executes outside of {@link transact} is not part of any transaction. */
  readonly db: Kysely<Schema>
  /**
   * One statement, and so one snapshot: it sees everything that was committed before the call, by whomever, and never
   * waits for a writer.
   */
  all<Values, Row>(query: PreparedQuery<Values, Row>, values: Values): Promise<readonly Row[]>
  /**
   * Runs `work` in a transaction in which nobody else writes, and commits it durably; rolls back where it throws.
   * `work` runs again where the database asks for it, so that it may have no effects but those on the session.
   *
   * @param mostMs how long it waits for other writers, where that is less than usual
   */
  transact<Result>(work: (session: Session) => Promise<Result>, mostMs?: number): Promise<Result>
  /** A transaction of this process has been committed: listeners hear of it before this resolves. */
  published(): void | Promise<void>
  subscribe(listener: ChangeListener): () => void
  /** The typed error for what a reading of rows could not understand; anything else as it is. */
  errorFor(cause: unknown): unknown
  close(): Promise<void>
}

class Placeholder {
  readonly name: PropertyKey
  constructor(name: PropertyKey) {
    this.name = name
  }
}

/** Compile a query once, with a name in the place of each value that changes. Compiling costs more than running it. */
export function prepareQuery<Values extends Readonly<Record<keyof Values, SqlValue>>, Row>(
  build: (value: <Name extends keyof Values>(name: Name) => Values[Name]) => Compilable<Row>,
  rowOf?: (values: readonly SqlValue[]) => Row,
): PreparedQuery<Values, Row> {
  // The builder only carries the value to the compiled list of parameters, where it is found again below.
  const compiled = build(
    <Name extends keyof Values>(name: Name) => new Placeholder(name) as unknown as Values[Name],
  ).compile()
  const slots = [...compiled.parameters]
  return {
    sql: compiled.sql,
    bind: values =>
      slots.map(slot =>
        slot instanceof Placeholder ? values[slot.name as keyof Values] : (slot as SqlValue),
      ),
    ...(rowOf !== undefined && { rowOf }),
  }
}
