import { dirname, resolve } from 'node:path'
import { PairingStoreError } from './errors.ts'
import { machineMs } from './internal/machine-clock.ts'
import { removeSecrets } from './internal/secret-removal.ts'
import { checkWhole } from './internal/sqlite-check.ts'
import { inPrivatePlace, linkOrCopy, syncDirectory, syncFile } from './internal/sqlite-file.ts'
import { type CopyProgress, copyStore, wholeOrThrow, withCopy } from './internal/store-copy.ts'
import type { StoreVerdict } from './verification.ts'

export interface BackupOptions {
  /** The store, which may be in use. */
  readonly path: string
  /** Where the copy goes: a new file, 0600, in a directory that is there. */
  readonly to: string
  /**
   * Leave out all by which a guess at a secret can be tried: the hashes of device tokens and join codes, and the
   * commitments of gateway tokens, also where the audit log has them (it is chained anew over what stays).
   *
   * @defaultValue false
   */
  readonly withoutSecrets?: boolean
  readonly onProgress?: CopyProgress
  /** Milliseconds since the epoch. @defaultValue `Date.now` */
  readonly clock?: () => number
}

/** What a copy holds. */
export type StoreBackup = Extract<StoreVerdict, { readonly outcome: 'intact' }> & { readonly path: string }

/**
 * Write a copy of a store into a new file, while a gateway and command lines go on using it: all of it as it was at one
 * moment. The copy is checked as {@link verifySqliteStore} does before it gets its name, so that whatever has that name is
 * whole.
 *
 * @throws {@link PairingStoreError} `STORE_COPY_EXISTS`: something is there already, and was left as it is.
 * @throws {@link PairingStoreError} `STORE_COPY_BROKEN`: the store itself is not whole. `STORE_NOT_WRITABLE`,
 * `STORE_WRITE_FAILED`: the copy cannot be written. And what {@link verifySqliteStore} throws.
 */
export async function backupSqliteStore(options: BackupOptions): Promise<StoreBackup> {
  const [path, to] = [resolve(options.path), resolve(options.to)]
  const { withoutSecrets = false, clock = machineMs, onProgress = () => undefined } = options
  return inPrivatePlace(to, 'copying', async file => {
    await copyStore(path, file, onProgress)
    const whole = await withCopy(file, async copy => {
      if (withoutSecrets) await removeSecrets(copy, clock())
      return wholeOrThrow(path, await checkWhole(copy, path, null))
    })
    syncFile(file)
    if (!linkOrCopy(file, to)) throw copyExists(to)
    syncDirectory(dirname(to))
    return { ...whole, path: to }
  })
}

export function copyExists(path: string): PairingStoreError<'STORE_COPY_EXISTS'> {
  return new PairingStoreError('STORE_COPY_EXISTS', { path, fix: 'Give it a name that is free.' })
}
