import { signHoldfastProof, signOpenClawProof } from '@holdfast/handshake'
import { type DeviceId, type DeviceIdentity, identityFrom } from '@holdfast/identity'
import { BENCH_TOKEN } from './gate-seed.ts'

/** The families that are measured. */
export const FAMILIES = ['v3', 'holdfast/1'] as const

export type Family = (typeof FAMILIES)[number]

/** So many admissions come in a row, then as many of what they are compared with. */
export const IN_A_ROW = 16

const oneDevice = identityFrom({ seed: '42'.repeat(32) })
const about = { version: '1', deviceFamily: null, displayName: null, instanceId: null }
const client = { ...about, id: 'cli', mode: 'cli', platform: 'linux' }
const role = 'operator'
const scopes = ['operator.read']

/** The `connect` of a device, one and the same unless another is given, with the gateway token, as text. */
export function connectFrame(
  family: Family,
  gateway: { readonly id: DeviceId; readonly port: number },
  challenge: { readonly nonce: string; readonly ts: number },
  identity: DeviceIdentity = oneDevice,
): string {
  const { id, mode, version, platform } = client
  const wish = { minProtocol: 3, maxProtocol: 4, client: { id, mode, version, platform }, role, scopes }
  const signing = { identity, challenge, client, role, scopes }
  if (family === 'holdfast/1') {
    const dialled = { address: '127.0.0.1', port: gateway.port }
    const credential = { kind: 'gateway-token', token: BENCH_TOKEN } as const
    const { fields } = signHoldfastProof({ ...signing, gatewayId: gateway.id, dialled, credential })
    return JSON.stringify({ type: 'req', id: '1', method: 'connect', params: { ...wish, ...fields } })
  }
  const none = { deviceToken: null, bootstrapToken: null, password: null }
  const { signedAtMs: signedAt, ...device } = signOpenClawProof({
    ...signing,
    auth: { token: BENCH_TOKEN, ...none },
  })
  const params = { ...wish, auth: { token: BENCH_TOKEN }, device: { ...device, signedAt } }
  return JSON.stringify({ type: 'req', id: '1', method: 'connect', params })
}
