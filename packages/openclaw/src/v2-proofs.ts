import type { DeviceIdentity } from '@holdfast/identity'
import { asV2 } from './internal/proof-text.ts'

/**
 * The same identity for gateways of OpenClaw 2026.2, which know only the older signed string: what it would sign as `v3` it
 * signs as `v2`, and everything else as it is. Newer gateways accept `v2` as well; platform and device family are then
 * claimed without proof.
 */
export function withV2Proofs(identity: DeviceIdentity): DeviceIdentity {
  const { id, publicKey, createdAtMs, created, location } = identity
  return {
    id,
    publicKey,
    createdAtMs,
    created,
    location,
    sign: message => identity.sign(inV2(message)),
  }
}

const V3 = new TextEncoder().encode('v3|')

function inV2(message: Uint8Array): Uint8Array {
  if (!V3.every((byte, index) => message[index] === byte)) return message
  return new TextEncoder().encode(asV2(new TextDecoder().decode(message)))
}
