import {
  BUILT_IN_ROLES,
  type ClientClaim,
  defineRoles,
  gatewayTokenCommitment,
  gatewayTokenMacKey,
  type HoldfastConnect,
  type HoldfastCredential,
  type HoldfastReading,
  type HoldfastSignOptions,
  type HoldfastVerifyContext,
  parseConnect,
  signHoldfastProof,
  verifyHoldfastProof,
  verifyTranscriptMac,
} from '@holdfast/handshake'
import { createEphemeralIdentity, identityFrom } from '@holdfast/identity'

export const ROLES = defineRoles(BUILT_IN_ROLES)
export const TOKEN = 'Zk3vQ9xTn5Lw8sRb2HcYd7Gf4JmPa6Ke1UoXiVtSqWe'
export const GATEWAY = identityFrom({ seed: '0a'.repeat(32) })
export const DEVICE = createEphemeralIdentity()
export const CHALLENGE = { nonce: 'Y2hhbGxlbmdlLW9mLW9uZS1zb2NrZXQtYW5kLW5vLW90aGVy', ts: 1_767_225_600_000 }
export const DIALLED = { address: '127.0.0.1', port: 18_789 }
export const CLIENT: ClientClaim = {
  id: 'gateway-client',
  mode: 'backend',
  version: '0.1.0',
  platform: 'linux',
  deviceFamily: null,
  displayName: null,
  instanceId: null,
}

export interface Proof {
  readonly sign: HoldfastSignOptions
  readonly frame: { readonly type: 'req'; readonly id: string; readonly method: string; params: Fields }
  readonly transcriptHash: Uint8Array
}

export type Fields = Record<string, unknown> & {
  auth: Record<string, unknown>
  device: Record<string, unknown>
}

/** A `connect` as a client of ours makes it. */
export function proofOf(changes: Partial<HoldfastSignOptions> = {}): Proof {
  const sign: HoldfastSignOptions = {
    identity: DEVICE,
    gatewayId: GATEWAY.id,
    dialled: DIALLED,
    challenge: CHALLENGE,
    client: CLIENT,
    role: 'operator',
    scopes: ['operator.read', 'operator.write'],
    credential: { kind: 'gateway-token', token: TOKEN },
    ...changes,
  }
  const { fields, transcriptHash } = signHoldfastProof(sign)
  const { id, mode, version, platform } = sign.client
  const params = {
    minProtocol: 3,
    maxProtocol: 4,
    client: { id, mode, version, platform },
    role: sign.role,
    scopes: sign.scopes,
    ...fields,
  } as unknown as Fields
  return { sign, frame: { type: 'req', id: '1', method: 'connect', params }, transcriptHash }
}

/** The parameters of a frame that rule 2 lets pass. */
export function paramsOf(frame: unknown): HoldfastConnect {
  const reading = parseConnect(JSON.stringify(frame))
  if (!reading.ok) throw new Error(`not a connect: ${JSON.stringify(reading.problem)}`)
  if (reading.params.family !== 'holdfast/1') throw new Error('a connect of the other family')
  return reading.params
}

/** What the gateway of these tests makes of a frame. */
export function readingOf(frame: unknown, gate: Partial<HoldfastVerifyContext> = {}): HoldfastReading {
  const macKey = gatewayTokenMacKey(TOKEN)
  return verifyHoldfastProof(paramsOf(frame), {
    roles: ROLES,
    gatewayId: GATEWAY.id,
    nonce: CHALLENGE.nonce,
    challengedAtMs: CHALLENGE.ts,
    isOwnAddress: ({ address, port }) => address === DIALLED.address && port === DIALLED.port,
    token: {
      commitment: gatewayTokenCommitment(TOKEN),
      verifiesMac: (transcript, mac) => verifyTranscriptMac(macKey, transcript, mac),
    },
    ...gate,
  })
}

export const CREDENTIALS: readonly HoldfastCredential[] = [
  { kind: 'device-key' },
  { kind: 'gateway-token', token: TOKEN },
  { kind: 'join-code', code: 'hfj_AAAAAAAAAAAAAAAAAAAAAAdxqUJv' },
  { kind: 'delegation', chain: ['Zmlyc3Q', 'c2Vjb25k'] },
]
