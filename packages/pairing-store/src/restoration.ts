import { renameSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { gatewayTokenCommitment } from '@holdfast/handshake'
import type { AuditHead } from './audit.ts'
import { backupSqliteStore, copyExists } from './backup.ts'
import { isPairingStoreError, PairingStoreError, type SinceUnknown } from './errors.ts'
import { holdBack } from './internal/holding-back.ts'
import { machineMs } from './internal/machine-clock.ts'
import { SCHEMA_VERSION } from './internal/migrations.ts'
import { checkWhole } from './internal/sqlite-check.ts'
import type { SqliteConnection } from './internal/sqlite-connection.ts'
import {
  checkOwnFile,
  inPrivatePlace,
  linkOrCopy,
  prepareDirectory,
  statOrNull,
  syncDirectory,
  syncFile,
} from './internal/sqlite-file.ts'
import { type CopyProgress, copyStore, upgradeCopy, wholeOrThrow, withCopy } from './internal/store-copy.ts'
import { type CopyToMerge, findUnmergeable, mergeCopy } from './internal/store-merge.ts'
import { openSqlStore } from './sqlite.ts'
import { verifySqliteStore } from './verification.ts'

export interface RestoreOptions {
  /** The store. No gateway may be running on it. */
  readonly path: string
  /** A copy that `backupSqliteStore` made, with or without secrets. It is only read. */
  readonly from: string
  /** The audit head that was kept outside of the store. A store that is behind it does not say what was revoked since. */
  readonly expectedHead?: AuditHead | null
  /**
   * A gateway token that nobody had before, for where the store as it is now does not say what was revoked since: it is the
   * current generation afterwards, and no other registers anybody.
   */
  readonly newGatewayToken?: string
  readonly onProgress?: CopyProgress
  /** Milliseconds since the epoch. @defaultValue `Date.now` */
  readonly clock?: () => number
}

export type StoreRestoration = {
  /** The store as it was before, at another path beside it; `null` where nothing was there. */
  readonly setAside: string | null
  /** Where the audit log ends now. */
  readonly head: AuditHead
} & (
  | {
      /**
       * The store has the devices and grants of the copy again, but for what was taken from anybody since. Its log goes on.
       */
      readonly outcome: 'merged'
      /** How many devices stand otherwise than before. */
      readonly restored: number
      /** How many stay as they are: they are revoked, or something was taken from them after the copy was made. */
      readonly kept: number
      /** How many that came after the copy was made are unknown again. */
      readonly removed: number
    }
  | {
      /** The copy is the store now. Whoever it let in is held back by a tombstone, which `reinstateDevice` lifts. */
      readonly outcome: 'placed'
      readonly reason: SinceUnknown
      readonly held: number
    }
)

/**
 * Bring a store back to what a copy holds, without reviving what was revoked since.
 *
 * Where the store as it is now says what was revoked since the copy was made, this is one transaction in it: a device that
 * was revoked, narrowed or reinstated since stays as it is, tombstones of either side stay, and device tokens, join codes
 * and token generations are never taken from a copy. Where it does not say (it is gone, damaged, behind, or of another
 * history), the copy takes its place only under `newGatewayToken`, and every device of the copy is held back until somebody
 * reinstates it. What was there is kept beside it either way. Both are in the audit log.
 *
 * @throws {@link PairingStoreError} `STORE_TOKEN_DEMANDED`: it does not say, and there is no `newGatewayToken`.
 * @throws {@link PairingStoreError} `STORE_COPY_BROKEN`: the copy is not what was written. `STORE_EXPOSED`: others may have
 * written it. And what
 * {@link verifySqliteStore} and `openSqliteStore` throw. Nothing was changed in any of these cases.
 */
export async function restoreSqliteStore(options: RestoreOptions): Promise<StoreRestoration> {
  const [path, from] = [resolve(options.path), resolve(options.from)]
  const { clock = machineMs, onProgress = () => undefined } = options
  prepareDirectory(path)
  return inPrivatePlace(path, 'copying', async file => {
    checkOwnFile(from)
    await copyStore(from, file, onProgress)
    const restored = await withCopy(file, async copy => {
      const whole = wholeOrThrow(from, await checkWhole(copy, from, null))
      if (whole.schema < SCHEMA_VERSION) await upgradeCopy(copy)
      const merged = await mergeInto(path, { copy, withoutSecrets: whole.withoutSecrets }, options)
      return typeof merged === 'string' ? replaceBy(copy, path, merged, options) : merged
    })
    if (restored.outcome === 'merged') return restored
    syncFile(file)
    return { ...restored, setAside: putInPlace(file, path, clock()) }
  })
}

/** Merge the copy into the store as it is, or say why that does not tell what was revoked since. */
async function mergeInto(
  path: string,
  source: CopyToMerge,
  { clock = machineMs, expectedHead = null }: RestoreOptions,
): Promise<Extract<StoreRestoration, { outcome: 'merged' }> | SinceUnknown> {
  if (statOrNull(path) === null) return 'missing'
  try {
    const verdict = await verifySqliteStore({ path })
    if (verdict.outcome === 'broken') return verdict.flaw.part === 'audit' ? 'audit-broken' : 'unreadable'
    const store = await openSqlStore({ path, clock })
    try {
      if (expectedHead !== null) await store.requireAuditHead(expectedHead)
      const unmergeable = await store.transact(tx => findUnmergeable(tx, source))
      if (unmergeable !== null) return unmergeable
      const setAside = asideName(path, clock())
      await backupSqliteStore({ path, to: setAside })
      const counts = await store.transact(tx => mergeCopy(tx, source))
      return { outcome: 'merged', ...counts, setAside, head: await store.findAuditHead() }
    } finally {
      await store.close()
    }
  } catch (error) {
    const reason = sinceUnknown(error, path)
    if (reason === null) throw error
    return reason
  }
}

/** What of the errors of reading the store means that it does not say what was revoked since. */
function sinceUnknown(error: unknown, path: string): SinceUnknown | null {
  if (isPairingStoreError(error, 'STORE_ROLLED_BACK')) return error.detail.reason
  if (isPairingStoreError(error, 'STORE_NOT_A_DATABASE') && error.detail.path === path) return 'unreadable'
  const unreadable = isPairingStoreError(error, 'STORE_UNREADABLE') && error.detail.path === path
  return unreadable && error.detail.reason === 'damaged' ? 'unreadable' : null
}

/** Make the copy what takes the place of a store of which nobody knows what was revoked in it. */
async function replaceBy(
  copy: SqliteConnection,
  path: string,
  reason: SinceUnknown,
  { from, newGatewayToken, expectedHead = null, clock = machineMs }: RestoreOptions,
): Promise<Omit<Extract<StoreRestoration, { outcome: 'placed' }>, 'setAside'>> {
  if (newGatewayToken === undefined) {
    const fix = `Under a new token, with every device held back: holdfast store restore --new-token '${resolve(from)}'`
    throw new PairingStoreError('STORE_TOKEN_DEMANDED', { path, reason, fix })
  }
  const generationId = gatewayTokenCommitment(newGatewayToken)
  const held = await holdBack(copy, { reason, expectedHead, generationId, nowMs: clock() })
  return { outcome: 'placed', reason, ...held }
}

/** Set what is there aside, and give the copy its name. @returns where it was set aside */
function putInPlace(file: string, path: string, nowMs: number): string | null {
  // A log that stayed behind, even that of a store that is gone, would be played back into the copy.
  const there = ['-wal', '-shm', ''].filter(end => statOrNull(`${path}${end}`) !== null)
  const aside = there.length === 0 ? null : asideName(path, nowMs)
  for (const end of there) renameSync(`${path}${end}`, `${aside}${end}`)
  if (!linkOrCopy(file, path)) throw copyExists(path)
  syncDirectory(dirname(path))
  return aside
}

function asideName(path: string, nowMs: number): string {
  return `${path}.before-restore-${new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-')}`
}
