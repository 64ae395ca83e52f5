import { Disconnected, isServersWord, type PooledClient, PostgresSession } from './postgres-client.ts'
import { isSpent, NoneFree } from './postgres-errors.ts'
import type { PostgresHead } from './postgres-head.ts'

/** Where connections come from. */
export interface ClientPool {
  connect(): Promise<PooledClient>
}

export interface LeaseOptions {
  readonly pool: ClientPool
  readonly head: PostgresHead
  /** How long one statement may take, and the making of a connection. */
  readonly answerMs: number
}

/** Connections of a pool, each looked at before its first use: is it one to the store that was opened? */
export class PostgresLeases {
  readonly #options: LeaseOptions
  readonly #checked = new WeakSet<PooledClient>()
  readonly #heard = new WeakSet<PooledClient>()

  constructor(options: LeaseOptions) {
    this.#options = options
  }

  /** Have a connection for as long as `use` takes. One that is of no use any more does not go back. */
  async use<Result>(waitMs: number, use: (session: PostgresSession) => Promise<Result>): Promise<Result> {
    const client = await this.#checkout(waitMs)
    try {
      const session = new PostgresSession(client, this.#options.answerMs)
      if (!this.#checked.has(client)) await this.#options.head.check(session)
      this.#checked.add(client)
      const result = await use(session)
      client.release()
      return result
    } catch (error) {
      client.release(isSpent(error))
      throw error
    }
  }

  async #checkout(waitMs: number): Promise<PooledClient> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<null>(resolve => {
      timer = setTimeout(() => resolve(null), waitMs)
    })
    const asked = this.#options.pool.connect()
    try {
      const client = await Promise.race([asked, late])
      if (client === null) {
        asked.then(
          tooLate => tooLate.release(),
          () => undefined,
        )
        throw new NoneFree()
      }
      this.#hear(client)
      return client
    } catch (error) {
      throw this.#understood(error)
    } finally {
      clearTimeout(timer)
    }
  }

  // A connection that breaks between two statements says so by an event, which ends the process where nobody listens.
  #hear(client: PooledClient): void {
    if (this.#heard.has(client)) return
    this.#heard.add(client)
    client.on('error', () => undefined)
  }

  #understood(error: unknown): unknown {
    if (error instanceof NoneFree) return error
    const wrong = this.#options.head.lostWith(error)
    if (wrong !== null || isServersWord(error)) return wrong ?? error
    const waited = error instanceof Error && error.message === 'timeout exceeded when trying to connect'
    return waited ? new NoneFree() : new Disconnected(error)
  }
}
