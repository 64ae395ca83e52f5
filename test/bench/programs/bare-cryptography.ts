import { hash, timingSafeEqual } from 'node:crypto'
import {
  BUILT_IN_ROLES,
  defineRoles,
  type GatewayAnswer,
  gatewayTokenCommitment,
  gatewayTokenMacKey,
  type HoldfastConnect,
  type OpenClawConnect,
  openClawProofBytes,
  signGatewayAnswer,
  verifyHoldfastProof,
  verifyTranscriptMac,
} from '@holdfast/handshake'
import { type DeviceIdentity, deviceIdOf, parsePublicKey, verifySignature } from '@holdfast/identity'
import { BENCH_TOKEN } from './gate-seed.ts'

/** What a gateway knows of a socket. */
export interface BareSocket {
  readonly nonce: string
  readonly challengedAtMs: number
  readonly connectionId: string
}

/** The params of a `connect`, as they come out of JSON. */
export interface BareParams {
  readonly proof?: string
  readonly role: string
  readonly scopes: readonly string[]
  readonly auth: Readonly<Record<string, string>>
  readonly client: Readonly<Record<string, string>>
  readonly device: Readonly<Record<string, string | number>>
}

const roles = defineRoles(BUILT_IN_ROLES)
const commitment = gatewayTokenCommitment(BENCH_TOKEN)
const macKey = gatewayTokenMacKey(BENCH_TOKEN)
const expectedDigest = hash('sha256', BENCH_TOKEN, 'buffer')
const token = {
  commitment,
  verifiesMac: (transcript: Uint8Array, mac: string) => verifyTranscriptMac(macKey, transcript, mac),
}

/**
 * The cryptography of an admission, and no rule, no store, no check of a field: the key, the id that is its hash, the
 * signature, the gateway token in constant time, and where the family has one the gateway's own signature.
 *
 * @throws Error where it is not what it must be
 */
export function bareCryptography(
  identity: DeviceIdentity,
  params: BareParams,
  socket: BareSocket,
): GatewayAnswer | null {
  const device = { ...params.device, signedAtMs: params.device['signedAt'] }
  if (params.proof !== 'holdfast/1') {
    const client = { deviceFamily: null, ...params.client }
    checkOpenClaw({ ...params, client, device } as unknown as OpenClawConnect)
    return null
  }
  const connect = { ...params, family: 'holdfast/1', device, credential: params.auth }
  const { nonce, challengedAtMs, connectionId } = socket
  const { proof, credential, transcriptHash } = verifyHoldfastProof(connect as unknown as HoldfastConnect, {
    roles,
    gatewayId: identity.id,
    nonce,
    challengedAtMs,
    isOwnAddress: () => true,
    token,
  })
  if (proof.verdict !== 'verified') throw new Error(proof.verdict)
  if (credential.kind !== 'gateway-token') throw new Error(`the credential is ${credential.kind}`)
  return signGatewayAnswer(identity, {
    transcriptHash,
    connectionId,
    role: params.role,
    scopes: params.scopes,
  })
}

function checkOpenClaw({ device, client, role, scopes, auth }: OpenClawConnect): void {
  const key = parsePublicKey(device?.publicKey)
  if (device === null || key === null || deviceIdOf(key) !== device.id) throw new Error('the key is wrong')
  const shown = auth.token ?? ''
  if (!timingSafeEqual(hash('sha256', shown, 'buffer'), expectedDigest)) throw new Error('the token is wrong')
  const bytes = openClawProofBytes('v3', {
    ...{ deviceId: device.id, client, role, scopes, signedAtMs: device.signedAtMs },
    ...{ credential: shown, nonce: device.nonce ?? '' },
  })
  if (!verifySignature(key, bytes, Buffer.from(device.signature, 'base64url')))
    throw new Error('the signature is wrong')
}
