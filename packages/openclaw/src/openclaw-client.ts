import type { ClientClaim } from '@holdfast/handshake'
import type { DeviceIdentity } from '@holdfast/identity'
import { readSurroundings } from './internal/surroundings.ts'

/**
 * Everything that OpenClaw's own command line asks for, on any of its versions. A device that was given all of it at its
 * first connection is never asked about again: later wishes are narrower. (`operator.admin` alone does not do: 2026.2 takes
 * it for no more than itself and reading.)
 */
export const OPENCLAW_SCOPES = [
  'operator.admin',
  'operator.read',
  'operator.write',
  'operator.approvals',
  'operator.pairing',
  'operator.talk.secrets',
] as const

/**
 * What this install says of itself to an OpenClaw gateway, for `connectToGateway({ client })`. The same at every connection:
 * gateways since 2026.4 pin platform and family at the first one, and 2026.9 drops a silently paired device when another
 * comes with the same client and name. It says what OpenClaw's command line says, so that both can share one device.
 */
export function openClawClient(identity: DeviceIdentity): Partial<ClientClaim> {
  return {
    id: 'cli',
    mode: 'cli',
    platform: readSurroundings().platform,
    deviceFamily: null,
    displayName: `holdfast ${identity.id.slice(0, 8)}`,
  }
}
