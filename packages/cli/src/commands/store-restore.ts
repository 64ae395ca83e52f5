import { resolve } from 'node:path'
import { keepAuditHead, readAuditHead, takeGatewayLock } from '@holdfast/gateway'
import {
  GATEWAY_TOKEN,
  publishOnce,
  replacePrivateFile,
  shellWord,
  withInstallLock,
} from '@holdfast/identity/state'
import {
  isPairingStoreError,
  PairingStoreError,
  restoreSqliteStore,
  type StoreRestoration,
} from '@holdfast/pairing-store'
import { newGatewayToken, TOKEN_LOCK_TIMEOUT_MS } from '../gateway-token.ts'
import { facts } from '../render.ts'
import {
  type CommandResult,
  type CommonOptions,
  placeOptions,
  refuseForeignOwner,
  requireFile,
  type Wiring,
} from '../wiring.ts'
import { copyProgress } from './copy-progress.ts'

/** Bring the store back to a copy, while no gateway runs and none can start. */
export async function restore(
  wiring: Wiring,
  file: string,
  options: CommonOptions & { readonly newToken?: boolean },
): Promise<CommandResult> {
  requireFile(wiring)
  refuseForeignOwner(wiring)
  return withInstallLock(
    wiring.location,
    async () => {
      const lock = await takeGatewayLock(wiring.location)
      try {
        return await restoreLocked(wiring, resolve(file), options.newToken === true)
      } finally {
        lock.release()
      }
    },
    { timeoutMs: TOKEN_LOCK_TIMEOUT_MS },
  )
}

async function restoreLocked(wiring: Wiring, from: string, mayRotate: boolean): Promise<CommandResult> {
  const { location, storePath: path } = wiring
  const expectedHead = await readAuditHead(location, path)
  const { onProgress, end } = copyProgress(wiring, 'Read')
  const attempt = (token?: string): Promise<StoreRestoration> =>
    restoreSqliteStore({
      path,
      from,
      expectedHead,
      onProgress,
      ...(token !== undefined && { newGatewayToken: token }),
    })
  const done = await attempt()
    .catch(async (error: unknown) => {
      if (!isPairingStoreError(error, 'STORE_TOKEN_DEMANDED')) throw error
      if (!mayRotate) throw withOwnFix(wiring, from, error)
      // The file first: whoever dies in between has a store as it was, and a gateway that knows what is in the file.
      return attempt(await rotateTokenFile(wiring))
    })
    .finally(end)
  const kept = await readAuditHead(location)
  // What is kept of another store is none of this one's business.
  const concerned = kept === null || expectedHead !== null || kept.storeId === done.head.storeId
  if (concerned) await keepAuditHead(location, path, done.head)
  return { json: { restored: { from, path, ...done } }, lines: [...linesOf(done), ...adviceOf(wiring, done)] }
}

function withOwnFix(
  wiring: Wiring,
  from: string,
  error: PairingStoreError<'STORE_TOKEN_DEMANDED'>,
): PairingStoreError<'STORE_TOKEN_DEMANDED'> {
  const fix = `Under a new token, with every device held back: holdfast store restore --new-token ${shellWord(from)} ${placeOptions(wiring)}`
  return new PairingStoreError('STORE_TOKEN_DEMANDED', { ...error.detail, fix }, { cause: error })
}

async function rotateTokenFile({ location }: Wiring): Promise<string> {
  const token = newGatewayToken()
  const bytes = Buffer.from(token)
  if (!(await replacePrivateFile(location, GATEWAY_TOKEN, bytes)))
    await publishOnce(location, GATEWAY_TOKEN, bytes)
  return token
}

function linesOf(done: StoreRestoration): string[] {
  const aside = ['as it was', done.setAside ?? 'nothing was there'] as const
  if (done.outcome === 'placed') {
    return facts([
      ['restored', 'the copy, under a new gateway token'],
      ['held back', `${done.held} devices`],
      aside,
    ])
  }
  return facts([
    ['restored', `${done.restored} devices`],
    ['kept', `${done.kept} devices, revoked or narrowed since`],
    ['unknown again', `${done.removed} devices that came since`],
    aside,
  ])
}

function adviceOf(wiring: Wiring, done: StoreRestoration): string[] {
  if (done.outcome === 'merged') return [`See who is known: holdfast devices ${placeOptions(wiring)}`]
  return [
    'Nobody knows who was revoked since the copy was made, so that every device is held back. Let those in whom you trust:',
    `holdfast reinstate DEVICE ${placeOptions(wiring)}`,
  ]
}
