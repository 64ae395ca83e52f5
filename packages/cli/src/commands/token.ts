import { randomBytes } from 'node:crypto'
import { replacePrivateFile, withInstallLock } from '@holdfast/identity/state'
import type { PairingStore } from '@holdfast/pairing-store'
import { CommandError } from '../errors.ts'
import { type CommandResult, placeOptions, type Wiring, withStore } from '../wiring.ts'

/** 256 random bits. */
const TOKEN_BYTES = 32
/** Longer than a store waits for another writer. */
const LOCK_TIMEOUT_MS = 15_000

/** A new gateway token. Two of these at once take turns, so that the file and the store end with the same one. */
export async function rotate(wiring: Wiring): Promise<CommandResult> {
  return withStore(wiring, store =>
    withInstallLock(wiring.location, () => rotateIn(wiring, store), { timeoutMs: LOCK_TIMEOUT_MS }),
  )
}

async function rotateIn(wiring: Wiring, store: PairingStore): Promise<CommandResult> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  // The file first: a gateway follows the file, and tells the store itself if this process dies in between.
  const replaced = await replacePrivateFile(wiring.location, 'gateway-token/token', Buffer.from(token))
  if (!replaced) {
    throw new CommandError('TOKEN_MISSING', {
      path: wiring.location.gatewayToken,
      fix: `The gateway makes it at its first start: holdfast gateway ${placeOptions(wiring)}`,
    })
  }
  const { generationId, createdAtMs } = await store.putGatewayToken(token)
  return {
    json: { rotated: { generationId, createdAtMs } },
    lines: [
      'The gateway has a new token. Connections that showed the old one are closed and come back by themselves;',
      'registered devices stay registered.',
    ],
  }
}
