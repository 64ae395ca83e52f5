import type { DeviceId } from '@holdfast/identity'
import { GATEWAY_TOKEN, replacePrivateFile, withInstallLock } from '@holdfast/identity/state'
import type { PairingStore } from '@holdfast/pairing-store'
import { CommandError } from '../errors.ts'
import { newGatewayToken, TOKEN_LOCK_TIMEOUT_MS } from '../gateway-token.ts'
import { type CommandResult, type CommonOptions, placeOptions, type Wiring, withStore } from '../wiring.ts'

/** A new gateway token. Two of these at once take turns, so that the file and the store end with the same one. */
export async function rotate(
  wiring: Wiring,
  _argument: string,
  options: CommonOptions & { readonly revokeRegistered?: boolean },
): Promise<CommandResult> {
  const revokes = options.revokeRegistered === true
  return withStore(wiring, store =>
    withInstallLock(wiring.location, () => rotateIn(wiring, store, revokes), {
      timeoutMs: TOKEN_LOCK_TIMEOUT_MS,
    }),
  )
}

async function rotateIn(wiring: Wiring, store: PairingStore, revokes: boolean): Promise<CommandResult> {
  // Before the rotation: whoever dies in between has shut them out, and can begin again.
  const revoked = revokes ? await revokeRegistered(store) : []
  const token = newGatewayToken()
  // The file first: a gateway follows the file, and tells the store itself if this process dies in between.
  const replaced = await replacePrivateFile(wiring.location, GATEWAY_TOKEN, Buffer.from(token))
  if (!replaced) {
    throw new CommandError('TOKEN_MISSING', {
      path: wiring.location.gatewayToken,
      fix: `The gateway makes it at its first start: holdfast gateway ${placeOptions(wiring)}`,
    })
  }
  const { generationId, createdAtMs } = await store.putGatewayToken(token)
  return {
    json: { rotated: { generationId, createdAtMs }, ...(revokes && { revoked }) },
    lines: [
      'The gateway has a new token. Connections that showed the old one are closed and come back by themselves;',
      revokes
        ? `${revoked.length} devices that had registered themselves under it are revoked: holdfast devices ${placeOptions(wiring)}`
        : 'registered devices stay registered.',
    ],
  }
}

async function revokeRegistered(store: PairingStore): Promise<readonly DeviceId[]> {
  const current = await store.findGatewayToken()
  if (current === null) return []
  const answer = await store.revokeRegistered(current.generationId, { by: { kind: 'store-writer' } })
  return answer.outcome === 'revoked' ? answer.deviceIds : []
}
