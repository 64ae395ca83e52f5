import { hash } from 'node:crypto'
import type { DeviceId } from '@holdfast/identity'
import type { DelegationVerdict } from './delegation.ts'
import type { AuthClaim } from './messages.ts'
import type { Role, Scope } from './scopes.ts'

/** What a peer showed beside its device proof, after the gateway's own secret was compared and before the store was asked. */
export type PresentedCredential =
  | { readonly kind: 'none' }
  /** The gateway token as it is now. `commitment` names its generation in the store. */
  | { readonly kind: 'gateway-token'; readonly commitment: string }
  /** Still to be looked up. `via`: which field carried it, since the answer to a dead one differs. */
  | { readonly kind: 'device-token'; readonly token: string; readonly via: 'token' | 'deviceToken' }
  | { readonly kind: 'join-code'; readonly code: string }
  /** The public key of a join code that has signed the transcript. */
  | { readonly kind: 'join-key'; readonly key: string }
  /** The links as they came, bound to the key that was proven, and not looked into yet. */
  | { readonly kind: 'delegation'; readonly chain: readonly string[]; readonly gatewayId: DeviceId }
  | { readonly kind: 'wrong'; readonly presented: 'gateway-token' | 'join-code' }

/** The same, as a fact: what the store knows of it has been read. */
export type CredentialFact =
  | { readonly kind: 'none' }
  /** `registers`: may this generation still register unknown devices? */
  | { readonly kind: 'gateway-token'; readonly registers: boolean }
  /** Live, and for the claimed device and role. It never narrows what the rules give. */
  | { readonly kind: 'device-token' }
  /** Live: nobody has spent it, or this very device has. What it gives, it gives once. */
  | {
      readonly kind: 'join-code'
      readonly role: Role
      readonly scopes: readonly Scope[]
      readonly spent: boolean
    }
  | {
      readonly kind: 'wrong'
      readonly presented: 'gateway-token' | 'device-token' | 'join-code'
    }
  /** Looked into, with the key of its device as the store has it. */
  | { readonly kind: 'delegation'; readonly delegation: DelegationVerdict }

/** Device tokens begin with this, which tells them from gateway tokens in the same field. */
export const DEVICE_TOKEN_PREFIX = 'hfd_'

/**
 * A name for a gateway token that does not give it away: hex SHA-256 under a domain tag.
 * Safe for secrets of 128 random bits and more, which is what a gateway token must have.
 */
export function gatewayTokenCommitment(token: string): string {
  return hash('sha256', `\0holdfast gateway token\0${token}`, 'hex')
}

/**
 * Which one credential counts, of those in the frame: a device token alone decides; else the token is compared as the
 * gateway's, then by its prefix as a device's; else a join code. An empty field is no credential.
 *
 * @param gatewayToken the gateway's own as it is now: `matches` compares in constant time, `commitment` names its generation
 */
export function selectCredential(
  auth: AuthClaim,
  gatewayToken: { readonly matches: (presented: string) => boolean; readonly commitment: string },
): PresentedCredential {
  if (auth.deviceToken !== null) return { kind: 'device-token', token: auth.deviceToken, via: 'deviceToken' }
  if (auth.token !== null) {
    if (gatewayToken.matches(auth.token)) {
      return { kind: 'gateway-token', commitment: gatewayToken.commitment }
    }
    if (auth.token.startsWith(DEVICE_TOKEN_PREFIX)) {
      return { kind: 'device-token', token: auth.token, via: 'token' }
    }
    return { kind: 'wrong', presented: 'gateway-token' }
  }
  // A password is a gateway token in another field; nothing here takes one, so that it can only be wrong.
  if (auth.password !== null) return { kind: 'wrong', presented: 'gateway-token' }
  if (auth.bootstrapToken !== null) return { kind: 'join-code', code: auth.bootstrapToken }
  return { kind: 'none' }
}
