import { unlink } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { type GatewayNote, readGatewayNote, type StateLocation } from '@holdfast/identity/state'

/** Where clients of this machine dial a gateway that listens there: an IP literal, loopback for a wildcard. */
export function dialUrlOf(listening: { readonly address: string; readonly port: number }): string {
  const wildcards: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const address = wildcards[listening.address] ?? listening.address
  return `ws://${isIPv6(address) ? `[${address}]` : address}:${listening.port}`
}

/** Takes away the note of a gateway that is gone, or is going: the caller holds the gateway's lock. */
export async function removeGatewayNote(location: StateLocation): Promise<void> {
  try {
    await unlink(location.gatewayNote)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}

/** Takes the note away where it is still this one. */
export async function withdrawGatewayNote(location: StateLocation, own: GatewayNote): Promise<void> {
  const note = await readGatewayNote(location)
  const isOwn =
    note !== null && note.pid === own.pid && note.startedAtMs === own.startedAtMs && note.url === own.url
  if (isOwn) await removeGatewayNote(location)
}
