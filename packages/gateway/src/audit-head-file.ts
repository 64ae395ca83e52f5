import { join } from 'node:path'
import {
  publishOnce,
  readPrivateFile,
  replacePrivateFile,
  type StateLocation,
} from '@holdfast/identity/state'
import type { AuditHead } from '@holdfast/pairing-store'
import type { AuditHeadKeeper } from './audit-watch.ts'
import { GatewayError } from './errors.ts'

/** Where a gateway keeps the head of its store's audit log, in a state directory. */
const HEAD_PATH = 'audit-head/head.json'

/** The head, and of which store it is. */
interface KeptHead extends AuditHead {
  readonly format: 'holdfast-audit-head'
  readonly version: 1
  /** The path, or `null` where the caller opened the store. */
  readonly store: string | null
}

/**
 * A keeper in the state directory. What it kept of a store at another path is of no concern to this one; another store at
 * the *same* path is, since it took the place of the one that was there.
 */
export function auditHeadFile(
  location: StateLocation,
  store: { readonly path: string | null; readonly storeId: string },
): AuditHeadKeeper {
  return {
    async read() {
      const bytes = await readPrivateFile(location, HEAD_PATH)
      const kept = bytes === null ? null : parseKept(location, bytes)
      if (kept === null || (kept.storeId !== store.storeId && kept.store !== store.path)) return null
      const { storeId, sequence, hash } = kept
      return { storeId, sequence, hash }
    },
    async write(head) {
      const kept: KeptHead = { format: 'holdfast-audit-head', version: 1, store: store.path, ...head }
      const bytes = Buffer.from(`${JSON.stringify(kept, null, 2)}\n`)
      if (!(await replacePrivateFile(location, HEAD_PATH, bytes)))
        await publishOnce(location, HEAD_PATH, bytes)
    },
  }
}

/**
 * The head that a gateway on this state directory kept last; `null` where none did.
 *
 * @param storePath of a store at this path alone. @defaultValue whichever store it is of
 */
export async function readAuditHead(location: StateLocation, storePath?: string): Promise<AuditHead | null> {
  const bytes = await readPrivateFile(location, HEAD_PATH)
  if (bytes === null) return null
  const { store, storeId, sequence, hash } = parseKept(location, bytes)
  return storePath === undefined || store === storePath ? { storeId, sequence, hash } : null
}

/**
 * Keep this head from now on, whichever was kept before: for whoever has put another store in its place on purpose. A
 * gateway that starts goes by it.
 */
export function keepAuditHead(location: StateLocation, storePath: string, head: AuditHead): Promise<void> {
  return auditHeadFile(location, { path: storePath, storeId: head.storeId }).write(head)
}

function parseKept(location: StateLocation, bytes: Uint8Array): KeptHead {
  const path = join(location.directory, HEAD_PATH)
  const kept = parseJson(bytes)
  if (!isKept(kept)) throw new GatewayError('AUDIT_HEAD_DAMAGED', { path })
  return kept
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function isKept(value: unknown): value is KeptHead {
  if (typeof value !== 'object' || value === null) return false
  const { format, version, store, storeId, sequence, hash } = value as Record<string, unknown>
  const named = format === 'holdfast-audit-head' && version === 1 && typeof storeId === 'string'
  const placed = store === null || typeof store === 'string'
  return named && placed && Number.isSafeInteger(sequence) && typeof hash === 'string'
}
