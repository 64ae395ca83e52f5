import {
  type DeviceId,
  type DeviceIdentity,
  deviceIdOf,
  formatPublicKey,
  parsePublicKey,
  verifySignature,
} from '@holdfast/identity'
import { parseSignature } from './internal/signature-text.ts'
import type { GatewayAnswer } from './messages.ts'
import { type OutcomeFields, outcomeBytes } from './transcript.ts'

/** The gateway's proof that it is itself, and that it admitted exactly this. Goes into `hello-ok`, as `gateway`. */
export function signGatewayAnswer(identity: DeviceIdentity, outcome: OutcomeFields): GatewayAnswer {
  return {
    publicKey: formatPublicKey(identity.publicKey),
    signature: Buffer.from(identity.sign(outcomeBytes(outcome))).toString('base64url'),
  }
}

/** What a client finds out about the answer in a `hello-ok`. */
export type GatewayVerdict =
  | { readonly verdict: 'proven' }
  /** No answer, or one that is none. */
  | { readonly verdict: 'absent' }
  /** It is another gateway than the pinned one. */
  | { readonly verdict: 'another'; readonly gatewayId: DeviceId }
  /** The pinned gateway's key, but not its signature over this outcome. */
  | { readonly verdict: 'signature-invalid' }

/** Did the pinned gateway answer for exactly this outcome? Never throws, whatever stands in `answer`. */
export function verifyGatewayAnswer(
  answer: unknown,
  pinned: DeviceId,
  outcome: OutcomeFields,
): GatewayVerdict {
  const { publicKey, signature } = (typeof answer === 'object' && answer !== null ? answer : {}) as Readonly<
    Record<string, unknown>
  >
  const key = typeof publicKey === 'string' ? parsePublicKey(publicKey) : null
  const bytes = typeof signature === 'string' ? parseSignature(signature) : null
  if (key === null || bytes === null) return { verdict: 'absent' }
  const gatewayId = deviceIdOf(key)
  if (gatewayId !== pinned) return { verdict: 'another', gatewayId }
  return verifySignature(key, outcomeBytes(outcome), bytes)
    ? { verdict: 'proven' }
    : { verdict: 'signature-invalid' }
}
