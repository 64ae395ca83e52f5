declare const deviceIdBrand: unique symbol

/** The public name of a device: SHA-256 of its raw public key, as 64 lower-case hex digits. */
export type DeviceId = string & { readonly [deviceIdBrand]: true }

/** A device id out of outside text, or `null` where it is not exactly 64 lower-case hex digits. */
export function parseDeviceId(text: unknown): DeviceId | null {
  return typeof text === 'string' && /^[0-9a-f]{64}$/.test(text) ? (text as DeviceId) : null
}
