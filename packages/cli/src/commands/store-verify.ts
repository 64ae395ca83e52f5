import { resolve } from 'node:path'
import { readAuditHead } from '@holdfast/gateway'
import type { AuditHead } from '@holdfast/pairing-store'
import { verifySqliteStore } from '@holdfast/pairing-store'
import { CommandError } from '../errors.ts'
import { facts } from '../render.ts'
import { type CommandResult, type CommonOptions, requireStore, type Wiring } from '../wiring.ts'

/** Go through the whole store, or a copy of one. */
export async function verify(wiring: Wiring, file: string, _options: CommonOptions): Promise<CommandResult> {
  const isCopy = file !== ''
  if (!isCopy) requireStore(wiring)
  const path = isCopy ? resolve(file) : wiring.storePath
  const kept = await readAuditHead(wiring.location)
  // A copy may be behind what was seen since: that is no flaw of it.
  const expectedHead = isCopy ? null : await keptOf(wiring, path, kept)
  const verdict = await verifySqliteStore({ path, ...(expectedHead !== null && { expectedHead }) })
  if (verdict.outcome === 'broken') throw new CommandError('STORE_BROKEN', { path, flaw: verdict.flaw })
  const { outcome: _intact, ...found } = verdict
  const behind = entriesBehind(kept, verdict.storeId, verdict.head)
  return {
    json: { intact: true, path, ...found, expectedHead, ...(isCopy && { entriesBehind: behind }) },
    lines: [
      `${path} is intact.`,
      ...facts([
        ['store', verdict.storeId],
        ['schema', String(verdict.schema)],
        ['devices', String(verdict.devices)],
        ['audit log', verdict.head === null ? 'none yet' : `${verdict.head.sequence} entries, chained`],
        ['head', headLine(isCopy, expectedHead, behind)],
        ...(isCopy ? [['secrets', verdict.withoutSecrets ? 'none' : 'hashes of tokens'] as const] : []),
        ...(verdict.unaudited === 0 ? [] : [['unaudited', String(verdict.unaudited)] as const]),
      ]),
    ],
  }
}

/** What is kept for a store at another path is of no concern; another store at the usual path is. */
async function keptOf(wiring: Wiring, path: string, kept: AuditHead | null): Promise<AuditHead | null> {
  if (kept === null || path === wiring.location.store) return kept
  const verdict = await verifySqliteStore({ path })
  return verdict.outcome === 'intact' && verdict.storeId === kept.storeId ? kept : null
}

function entriesBehind(kept: AuditHead | null, storeId: string, head: AuditHead | null): number | null {
  if (kept === null || kept.storeId !== storeId || head === null) return null
  return Math.max(0, kept.sequence - head.sequence)
}

function headLine(isCopy: boolean, expected: AuditHead | null, behind: number | null): string {
  if (isCopy && behind !== null) return `${behind} entries behind the one that the gateway has kept`
  if (expected !== null) return `goes on from entry ${expected.sequence}, which the gateway has kept`
  return 'no gateway has kept one here: a log that was written anew as a whole is not found'
}
