import type { Rollback } from './audit-log.ts'
import { isServersWord, type PostgresSession, STORE_SCHEMA } from './postgres-client.ts'
import { WrongServer } from './postgres-errors.ts'

/** How far the store had come when it was last seen. */
interface Head {
  readonly store_id: string
  readonly last_sequence: number
  readonly audit_sequence: number
  readonly audit_hash: string | null
}

type Seen = Head & { readonly standby: boolean; readonly known_hash: string | null }

const COLUMNS = 'store_id, last_sequence, audit_sequence, audit_hash'
const CHECK = `select pg_is_in_recovery() as standby, ${COLUMNS},
  (select hash from ${STORE_SCHEMA}.audit where sequence = $1) as known_hash from ${STORE_SCHEMA}.store`
/** As the last statement before a commit, which then comes with it in one message. */
export const READ_HEAD = `select ${COLUMNS} from ${STORE_SCHEMA}.store`

/**
 * The furthest that this process has seen the store. Whichever server answers after a failover must have come as far, on
 * the same course: a standby that was behind would let in whom the lost transactions had revoked.
 */
export class PostgresHead {
  #known: Head | null = null

  /** The first look at a store that was just opened. */
  async begin(session: PostgresSession): Promise<void> {
    const [head] = await session.rows<Head>(READ_HEAD)
    if (head !== undefined) this.note(head)
  }

  note(head: Head): void {
    const known = this.#known
    const further =
      known === null ||
      head.audit_sequence > known.audit_sequence ||
      (head.audit_sequence === known.audit_sequence && head.last_sequence > known.last_sequence)
    if (further) this.#known = head
  }

  /**
   * The number of the last change that the server has, or `null` where none is known yet.
   *
   * @throws {@link WrongServer}
   */
  async check(session: PostgresSession): Promise<number | null> {
    const known = this.#known
    if (known === null) {
      const [row] = await session.rows<{ readonly standby: boolean }>('select pg_is_in_recovery() as standby')
      if (row?.standby !== false) throw new WrongServer('standby')
      return null
    }
    const seen = await readSeen(session, known.audit_sequence)
    const reason = seen === null ? 'another-store' : flawOf(known, seen)
    if (reason !== null) {
      throw new WrongServer({ expected: known.audit_sequence, found: seen?.audit_sequence ?? 0, reason })
    }
    // What is behind is refused first: a standby of the store is told from a store that was put back.
    if (seen?.standby !== false) throw new WrongServer('standby')
    this.note(seen)
    return seen.last_sequence
  }

  /** A server that has no such database has not the store either. */
  lostWith(error: unknown): WrongServer | null {
    const known = this.#known
    if (known === null || !isServersWord(error) || error.code !== '3D000') return null
    return new WrongServer({ expected: known.audit_sequence, found: 0, reason: 'another-store' })
  }
}

async function readSeen(session: PostgresSession, sequence: number): Promise<Seen | null> {
  try {
    const [seen] = await session.preparedRows<Seen>(CHECK, [sequence])
    return seen ?? null
  } catch (error) {
    // Neither the table nor the schema.
    if (isServersWord(error) && ['42P01', '3F000'].includes(error.code)) return null
    throw error
  }
}

function flawOf(known: Head, seen: Seen): Rollback['reason'] | null {
  if (seen.store_id !== known.store_id) return 'another-store'
  if (seen.audit_sequence < known.audit_sequence || seen.last_sequence < known.last_sequence) return 'behind'
  return known.audit_sequence > 0 && seen.known_hash !== known.audit_hash ? 'another-history' : null
}
