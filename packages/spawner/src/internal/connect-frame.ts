import {
  type AuthClaim,
  type ClientClaim,
  type DialledAddress,
  type HoldfastCredential,
  PROTOCOL_RANGE,
  signHoldfastProof,
  signOpenClawProof,
} from '@holdfast/handshake'
import type { DeviceId, DeviceIdentity } from '@holdfast/identity'

/** How the device proves itself: to one pinned gateway at this address; or in OpenClaw's way, to whoever asks. */
export type ProofPlan =
  | { readonly family: 'holdfast/1'; readonly gatewayId: DeviceId; readonly dialled: DialledAddress }
  /** `v2` only where the gateway did not know the newer string. */
  | { readonly family: 'openclaw'; readonly version: 'v2' | 'v3' }

/** What a `connect` is made of. */
export interface ConnectFacts {
  readonly identity: DeviceIdentity
  /** Beside the device's proof. */
  readonly credential:
    | { readonly kind: 'gateway-token' | 'join-code'; readonly text: string }
    | { readonly kind: 'delegation'; readonly chain: readonly string[] }
    | null
  readonly proof: ProofPlan
  readonly client: ClientClaim
  readonly role: string
  readonly scopes: readonly string[]
}

/** A `connect`, and what the gateway's answer to it must refer to. */
export interface ConnectFrame {
  readonly text: string
  /** `null`: this family asks for no answer. */
  readonly transcriptHash: Uint8Array | null
}

/** @throws `HandshakeError` `WISH_INVALID` where the wish cannot be said. */
export function connectFrame(
  id: string,
  facts: ConnectFacts,
  challenge: { readonly nonce: string; readonly ts: number },
): ConnectFrame {
  const { client, role, scopes } = facts
  const { fields, transcriptHash } = provenFields(facts, challenge)
  const params = {
    minProtocol: PROTOCOL_RANGE.min,
    maxProtocol: PROTOCOL_RANGE.max,
    client: withoutNulls(client),
    role,
    scopes,
    ...fields,
  }
  return { text: JSON.stringify({ type: 'req', id, method: 'connect', params }), transcriptHash }
}

function provenFields(
  facts: ConnectFacts,
  challenge: { readonly nonce: string; readonly ts: number },
): { readonly fields: object; readonly transcriptHash: Uint8Array | null } {
  const { identity, client, role, scopes, credential, proof } = facts
  const wish = { identity, challenge, client, role, scopes }
  if (proof.family === 'holdfast/1') {
    const { gatewayId, dialled } = proof
    return signHoldfastProof({ ...wish, gatewayId, dialled, credential: unsent(credential) })
  }
  const auth: AuthClaim = {
    token: credential?.kind === 'gateway-token' ? credential.text : null,
    deviceToken: null,
    bootstrapToken: credential?.kind === 'join-code' ? credential.text : null,
    password: null,
  }
  const { signedAtMs: signedAt, ...device } = signOpenClawProof({ ...wish, auth, version: proof.version })
  return { fields: { auth: withoutNulls(auth), device: { ...device, signedAt } }, transcriptHash: null }
}

function unsent(credential: ConnectFacts['credential']): HoldfastCredential {
  if (credential === null) return { kind: 'device-key' }
  if (credential.kind === 'delegation') return credential
  return credential.kind === 'join-code'
    ? { kind: 'join-code', code: credential.text }
    : { kind: 'gateway-token', token: credential.text }
}

/** On the wire a `null` is not an absent field. */
function withoutNulls(fields: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
}
