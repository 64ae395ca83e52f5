import {
  gatewayTokenMacKey,
  type HoldfastCredential,
  joinCodeKey,
  outcomeBytes,
  signGatewayAnswer,
  signHoldfastProof,
  transcriptBytes,
} from '@holdfast/handshake'
import { formatPublicKey, identityFrom } from '@holdfast/identity'

const SEEDS = { device: '0102'.repeat(16), gateway: '0a0b'.repeat(16) }
const TOKEN = 'A-gateway-token-of-a-test-vector_0123456789'
const CODE = 'hfj_AAECAwQFBgcICQoLDA0OD8rt2p9'
const device = identityFrom({ seed: SEEDS.device })
const gateway = identityFrom({ seed: SEEDS.gateway })
const about = { version: '1.0.0', deviceFamily: null, displayName: null, instanceId: null }
const CLIENT = { ...about, id: 'gateway-client', mode: 'backend', platform: 'linux' }
const LOOPBACK = { address: '127.0.0.1', port: 18_789 }
const NONCE = 'b25lLW5vbmNlLWZvci1vbmUtc29ja2V0'
const CLIENT_NONCE = Buffer.alloc(32, 7).toString('base64url')

interface Case {
  readonly name: string
  readonly credential: HoldfastCredential
  readonly role?: string
  readonly scopes?: readonly string[]
  readonly dialled?: typeof LOOPBACK
  readonly client?: typeof CLIENT
  readonly challengedAtMs?: number
}

const CASES: readonly Case[] = [
  { name: 'a known device by its key alone', credential: { kind: 'device-key' } },
  { name: 'the gateway token', credential: { kind: 'gateway-token', token: TOKEN } },
  { name: 'a join code', credential: { kind: 'join-code', code: CODE } },
  {
    name: 'a delegation of two links',
    credential: { kind: 'delegation', chain: ['eyJh.Zmlyc3Q.c2ln', 'eyJh.c2Vjb25k.c2ln'] },
  },
  {
    name: 'scopes out of order, an IPv6 address',
    credential: { kind: 'gateway-token', token: TOKEN },
    scopes: ['operator.write', 'operator.approvals', 'operator.read'],
    dialled: { address: '::1', port: 1 },
  },
  {
    name: 'no scope, a host name, a platform with blanks and capitals',
    credential: { kind: 'device-key' },
    role: 'node',
    scopes: [],
    dialled: { address: 'gateway.example.org', port: 443 },
    client: { ...CLIENT, id: 'node-host', mode: 'node', platform: ' Mac OS ' },
  },
  {
    name: 'a clock at its beginning',
    credential: { kind: 'device-key' },
    challengedAtMs: 0,
  },
]

function vectorOf(each: Case): unknown {
  const { name, credential, role = 'operator', scopes = ['operator.read'] } = each
  const { dialled = LOOPBACK, client = CLIENT, challengedAtMs = 1_767_225_600_000 } = each
  const challenge = { nonce: NONCE, ts: challengedAtMs }
  const wish = { identity: device, gatewayId: gateway.id, dialled, challenge, client, role, scopes }
  const proof = signHoldfastProof({ ...wish, credential, clientNonce: CLIENT_NONCE })
  const { id, mode, platform, version } = client
  const transcript = transcriptBytes({
    ...{ gatewayId: gateway.id, nonce: NONCE, challengedAtMs, clientNonce: CLIENT_NONCE, ...dialled },
    ...{ publicKey: formatPublicKey(device.publicKey), role, scopes, client },
    ...{ credential: credential.kind, credentialSubject: subjectOf(credential) },
  })
  const connectionId = '5f0c2c1e-8d3b-4c55-9a43-0f5a0a9a7b10'
  const outcome = { transcriptHash: proof.transcriptHash, connectionId, role, scopes }
  return {
    name,
    credential,
    challenge,
    clientNonce: CLIENT_NONCE,
    dialled,
    client: { id, mode, version, platform },
    role,
    scopes,
    transcript: Buffer.from(transcript).toString('hex'),
    transcriptHash: Buffer.from(proof.transcriptHash).toString('hex'),
    params: proof.fields,
    answer: {
      connectionId,
      bytes: Buffer.from(outcomeBytes(outcome)).toString('hex'),
      gateway: signGatewayAnswer(gateway, outcome),
    },
  }
}

/** What the transcript says of a credential, as PROTOCOL.md has it. */
function subjectOf(credential: HoldfastCredential): string | Uint8Array {
  if (credential.kind === 'join-code') return joinCodeKey(credential.code)
  if (credential.kind !== 'delegation') return ''
  return Buffer.concat(
    credential.chain.map(link => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(link.length)
      return Buffer.concat([length, Buffer.from(link)])
    }),
  )
}

/**
 * The golden vectors of holdfast/1, as this package makes them. What `vectors/holdfast-proof.json` has is kept: a change of
 * a single byte is another protocol, with another name.
 */
export const holdfastVectors = {
  format: 'holdfast/1 vectors',
  deviceSeed: SEEDS.device,
  deviceId: device.id,
  gatewaySeed: SEEDS.gateway,
  gatewayId: gateway.id,
  gatewayTokenMacKey: gatewayTokenMacKey(TOKEN).export().toString('hex'),
  cases: CASES.map(vectorOf),
}
