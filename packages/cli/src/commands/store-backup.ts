import { resolve } from 'node:path'
import { shellWord } from '@holdfast/identity/state'
import { backupSqliteStore } from '@holdfast/pairing-store'
import { facts } from '../render.ts'
import { type CommandResult, type CommonOptions, placeOptions, requireStore, type Wiring } from '../wiring.ts'
import { copyProgress } from './copy-progress.ts'

/** Write a copy of the store, in use or not, into a new file. */
export async function backup(
  wiring: Wiring,
  file: string,
  options: CommonOptions & { readonly withoutSecrets?: boolean },
): Promise<CommandResult> {
  requireStore(wiring)
  const to = resolve(file)
  const withoutSecrets = options.withoutSecrets === true
  const { onProgress, end } = copyProgress(wiring, 'Copied')
  const copy = await backupSqliteStore({ path: wiring.storePath, to, withoutSecrets, onProgress }).finally(
    end,
  )
  const { outcome: _intact, ...held } = copy
  return {
    json: { backup: held },
    lines: [
      ...facts([
        ['copy', to],
        ['of store', copy.storeId],
        ['devices', String(copy.devices)],
        ['audit log', copy.head === null ? 'none yet' : `up to entry ${copy.head.sequence}`],
        ['secrets', withoutSecrets ? 'none' : 'hashes of tokens; keep it to yourself'],
      ]),
      `To bring it back: holdfast store restore ${shellWord(to)} ${placeOptions(wiring)}`,
    ],
  }
}
