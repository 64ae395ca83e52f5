import { backup, DatabaseSync, type StatementSync } from 'node:sqlite'
import { Kysely, SqliteDialect, sql } from 'kysely'
import type { Dialect } from './migrations.ts'
import type { Schema } from './schema.ts'
import type { PreparedQuery, Session, SqlValue } from './sql-driver.ts'

/** What the tables are on SQLite. */
export const SQLITE_DIALECT: Dialect = {
  // One tree instead of a table and an index over it: half the pages to read for a device.
  // https://www.sqlite.org/withoutrowid.html
  keyed: sql`without rowid`,
  appendOnly: table =>
    ['update', 'delete'].map(
      act =>
        sql`create trigger ${sql.id(`${table}_no_${act}`)} before ${sql.raw(act)} on ${sql.table(table)} begin select raise(abort, 'rows of this table are only ever added'); end`,
    ),
}

/** At most this long. */
const READER_WAIT_MS = 20

const PARTS = `
  SELECT type, name, sql, (SELECT group_concat(c.name) FROM pragma_table_info(s.name) c) AS columns
  FROM sqlite_schema s WHERE name NOT LIKE 'sqlite_%' ORDER BY name`

/** One part of a schema. `columns` is of a table. */
export interface SchemaPart {
  readonly type: 'table' | 'index' | 'trigger' | 'view'
  readonly name: string
  readonly sql: string | null
  readonly columns: string | null
}

/** One connection, with its statements kept: preparing one anew costs as much as running it. */
export class SqliteConnection implements Session {
  readonly #database: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly db: Kysely<Schema>

  // SQLite waits inside the call, and the event loop with it: so a writer never does. A reader does, for as long as somebody
  // else recovers the log after a crash, which is rare and short.
  constructor(path: string, options: { readonly readOnly: boolean }) {
    this.#database = new DatabaseSync(path, {
      readOnly: options.readOnly,
      timeout: options.readOnly ? READER_WAIT_MS : 0,
    })
    this.db = new Kysely<Schema>({ dialect: new SqliteDialect({ database: this.#forKysely() }) })
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction
  }

  run(sql: string): void {
    this.#database.exec(sql)
  }

  allNow<Values, Row>(query: PreparedQuery<Values, Row>, values: Values): readonly Row[] {
    const { rowOf } = query
    const rows = this.#statement(query.sql, rowOf !== undefined).all(...query.bind(values))
    return rowOf === undefined ? (rows as Row[]) : (rows as unknown as SqlValue[][]).map(rowOf)
  }

  async all<Values, Row>(query: PreparedQuery<Values, Row>, values: Values): Promise<readonly Row[]> {
    return this.allNow(query, values)
  }

  /** The value of a pragma that gives one. */
  pragma(name: string): unknown {
    return this.#statement(`PRAGMA ${name}`).get()?.[name]
  }

  /** Every row that a pragma gives. */
  pragmaRows(name: string): readonly unknown[] {
    return this.#statement(`PRAGMA ${name}`).all()
  }

  /** The tables, indexes and triggers in the file, by name; what SQLite keeps for itself aside. */
  parts(): readonly SchemaPart[] {
    return this.#statement(PARTS).all() as unknown as SchemaPart[]
  }

  /** Write all of the database, as it is at one moment, into another file. Others go on writing meanwhile. */
  async copyTo(path: string, onPages: (remaining: number, total: number) => void): Promise<void> {
    // Without a snapshot of our own, each commit of another process would begin the copy anew.
    this.run('BEGIN')
    try {
      this.#statement('SELECT count(*) FROM sqlite_schema').get()
      await backup(this.#database, path, {
        progress: ({ remainingPages, totalPages }) => onPages(remainingPages, totalPages),
      })
    } finally {
      this.run('ROLLBACK')
    }
  }

  close(): void {
    this.#statements.clear()
    this.#database.close()
  }

  // The number of texts is bounded: none of our statements is built from data.
  #statement(sql: string, givesArrays = false): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      statement.setReturnArrays(givesArrays)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  #forKysely() {
    return {
      prepare: (sql: string) => {
        const statement = this.#statement(sql)
        return {
          reader: statement.columns().length > 0,
          all: (values: readonly unknown[]) => statement.all(...(values as SqlValue[])),
          run: (values: readonly unknown[]) => statement.run(...(values as SqlValue[])),
          iterate: (values: readonly unknown[]) => statement.iterate(...(values as SqlValue[])),
        }
      },
      close: () => this.close(),
    }
  }
}
