import type { VerifiedProof } from '@holdfast/handshake'
import { type DeviceId, formatPublicKey, type PublicKey } from '@holdfast/identity'
import { cleanName } from '../device-name.ts'
import type { DeviceTable } from './schema.ts'
import type { Transaction } from './transaction.ts'

/** A device that was not known before. */
export interface NewDevice {
  readonly deviceId: DeviceId
  readonly publicKey: PublicKey
  readonly name: string | null
  readonly standing: DeviceTable['standing']
  readonly registeredBy: DeviceTable['registered_by']
  readonly generationId: string | null
  /** `null` where it has not connected yet. */
  readonly client: VerifiedProof['client'] | null
}

/** Write the device down, without any role. */
export async function insertDevice(tx: Transaction, device: NewDevice): Promise<void> {
  const { client } = device
  await tx.session.db
    .insertInto('device')
    .values({
      device_id: device.deviceId,
      public_key: formatPublicKey(device.publicKey),
      name: cleanName(device.name),
      standing: device.standing,
      registered_by: device.registeredBy,
      generation_id: device.generationId,
      client_id: client?.id ?? null,
      client_mode: client?.mode ?? null,
      platform: client?.platform ?? null,
      device_family: client?.deviceFamily ?? null,
      created_at_ms: tx.nowMs,
      last_seen_at_ms: null,
      revoked_at_ms: null,
      revoked_by: null,
      holdfast_proven_at_ms: null,
    })
    .execute()
}
