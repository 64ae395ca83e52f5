import { hash } from 'node:crypto'
import type { PublicKey } from './public-key.ts'

declare const deviceIdBrand: unique symbol

/** The public name of a device: SHA-256 of its raw public key, as 64 lower-case hex digits. */
export type DeviceId = string & { readonly [deviceIdBrand]: true }

/** The id of the device that holds this key. An id cannot be chosen: it is the hash of the key. */
export function deviceIdOf(key: PublicKey): DeviceId {
  return hash('sha256', key.toBytes(), 'hex') as DeviceId
}

/** A device id out of outside text, or `null` where it is not exactly 64 lower-case hex digits. */
export function parseDeviceId(text: unknown): DeviceId | null {
  return typeof text === 'string' && /^[0-9a-f]{64}$/.test(text) ? (text as DeviceId) : null
}
