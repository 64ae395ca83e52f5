import { readAuditHead } from '@holdfast/gateway'
import { AUDIT_ACTS, type AuditAct, type AuditEntry, type AuditHead } from '@holdfast/pairing-store'
import { CommandError } from '../errors.ts'
import { moment, plain, table } from '../render.ts'
import { type CommandResult, type CommonOptions, type Wiring, withStore } from '../wiring.ts'

export interface AuditOptions extends CommonOptions {
  readonly limit: number
  readonly after?: string
  readonly device?: string
  readonly by?: string
  readonly act?: string
  readonly since?: string
  readonly until?: string
  readonly verify?: boolean
}

/** Who did what, the newest first; or whether the log is what was written. */
export async function audit(
  wiring: Wiring,
  _argument: string,
  options: AuditOptions,
): Promise<CommandResult> {
  if (options.verify === true) return verify(wiring)
  const { after, device, by, since, until } = options
  const act = options.act === undefined ? null : parseAct(options.act)
  const page = await withStore(wiring, store =>
    store.listAudit({
      order: 'newest',
      limit: options.limit,
      ...(after !== undefined && { after }),
      ...(device !== undefined && { deviceId: device }),
      ...(by !== undefined && { by }),
      ...(act !== null && { act }),
      ...(since !== undefined && { sinceMs: parseTime(since) }),
      ...(until !== undefined && { untilMs: parseTime(until) }),
    }),
  )
  const rows = page.items.map(entry => [
    String(entry.sequence),
    moment(entry.atMs),
    entry.by.slice(0, 12),
    entry.act,
    entry.deviceId === null ? '-' : entry.deviceId.slice(0, 12),
    entry.rule === null ? '-' : `rule ${entry.rule}`,
    changeOf(entry),
  ])
  const headings = ['no', 'when', 'who', 'what', 'device', 'by', 'change']
  return {
    json: { entries: page.items, next: page.next },
    lines: rows.length === 0 ? ['No entry.'] : table(headings, rows),
  }
}

async function verify(wiring: Wiring): Promise<CommandResult> {
  // Before the store is read: it may grow meanwhile, and what is kept then with it.
  const kept = await readAuditHead(wiring.location)
  return withStore(wiring, async store => {
    const expectedHead = isOfThisStore(wiring, kept, store.storeId) ? kept : null
    const verdict = await store.verifyAudit(expectedHead === null ? {} : { expectedHead })
    if (verdict.outcome === 'broken') {
      const { sequence, flaw } = verdict
      throw new CommandError('AUDIT_BROKEN', { path: wiring.storePath, sequence, flaw })
    }
    const { head, unaudited } = verdict
    const against =
      expectedHead === null
        ? 'No gateway has kept its head here: a log that was written anew as a whole is not found.'
        : `It goes on from entry ${expectedHead.sequence}, which the gateway has kept.`
    return {
      json: { intact: true, head, expectedHead, unaudited },
      lines: [
        `The audit log is intact: ${head.sequence} entries, the last one with hash ${head.hash}.`,
        against,
        ...(unaudited === 0 ? [] : [`${unaudited} changes went through without an entry.`]),
      ],
    }
  })
}

/** What is kept for a store at another path is of no concern; another store at the usual path is. */
function isOfThisStore(wiring: Wiring, kept: AuditHead | null, storeId: string): boolean {
  return kept !== null && (kept.storeId === storeId || wiring.storePath === wiring.location.store)
}

function changeOf({ from, to }: AuditEntry): string {
  const [before, after] = [from, to].map(state => (state === null ? '-' : plain(JSON.stringify(state), 200)))
  return `${before} -> ${after}`
}

function parseAct(text: string): AuditAct {
  const act = AUDIT_ACTS.find(each => each === text)
  if (act === undefined)
    throw new CommandError('USAGE', { reason: `--act is one of ${AUDIT_ACTS.join(', ')}` })
  return act
}

function parseTime(text: string): number {
  const ms = Date.parse(text)
  if (Number.isNaN(ms))
    throw new CommandError('USAGE', { reason: `no time, such as 2026-11-21T22:03:09Z: ${text}` })
  return ms
}
