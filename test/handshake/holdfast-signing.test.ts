import {
  type HoldfastSignOptions,
  isHandshakeError,
  MAX_SCOPES,
  signHoldfastProof,
} from '@holdfast/handshake'
import { describe, expect, test } from 'vitest'
import { CHALLENGE, CLIENT, DEVICE, DIALLED, proofOf } from './holdfast-frame.ts'

const { sign } = proofOf()
const NONCE = 'A'.repeat(43)
const names = (count: number) => Array.from({ length: count }, (_, i) => `s${i}`)

describe('H2: what a gate would refuse is not signed', () => {
  test.each<[string, string, Partial<HoldfastSignOptions>]>([
    ['a client id with a blank', 'client.id', { client: { ...CLIENT, id: 'a b' } }],
    ['a client mode in capitals', 'client.mode', { client: { ...CLIENT, mode: 'CLI' } }],
    ['a platform with a line break', 'client.platform', { client: { ...CLIENT, platform: 'linux\n' } }],
    ['a role with a comma', 'role', { role: 'operator,node' }],
    ['two scopes in one', 'scopes', { scopes: ['operator.read,operator.admin'] }],
    ['a scope twice', 'scope', { scopes: ['operator.read', 'operator.read'] }],
    ['one scope too many', 'scopes', { scopes: names(MAX_SCOPES + 1) }],
    ['a nonce that is none', 'challenge.nonce', { challenge: { ...CHALLENGE, nonce: 'a b' } }],
    ['a time with decimals', 'challenge.ts', { challenge: { ...CHALLENGE, ts: 1.5 } }],
    ['a time before time', 'challenge.ts', { challenge: { ...CHALLENGE, ts: -1 } }],
    ['a time that no number holds', 'challenge.ts', { challenge: { ...CHALLENGE, ts: 2 ** 53 } }],
    ['a time that is none', 'challenge.ts', { challenge: { ...CHALLENGE, ts: Number.NaN } }],
    ['a client nonce that is too short', 'clientNonce', { clientNonce: NONCE.slice(1) }],
    ['a client nonce that is too long', 'clientNonce', { clientNonce: `${NONCE}A` }],
    ['a client nonce behind a blank', 'clientNonce', { clientNonce: ` ${NONCE}` }],
    ['a client nonce with padding', 'clientNonce', { clientNonce: `${NONCE}=` }],
    ['an address with a path', 'dialled.address', { dialled: { address: 'host/x', port: 1 } }],
    ['an address in brackets', 'dialled.address', { dialled: { address: '[::1]', port: 1 } }],
    ['a port below zero', 'dialled.port', { dialled: { ...DIALLED, port: -1 } }],
    ['a port with decimals', 'dialled.port', { dialled: { ...DIALLED, port: 80.5 } }],
    ['no port', 'dialled.port', { dialled: { ...DIALLED, port: 0 } }],
    ['a port beyond the last', 'dialled.port', { dialled: { ...DIALLED, port: 65_536 } }],
    ['a port of six digits', 'dialled.port', { dialled: { ...DIALLED, port: 100_000 } }],
    ['a link that is none', 'credential.chain', { credential: { kind: 'delegation', chain: ['a b'] } }],
  ])('%s: the error names %s and quotes nothing', (_, field, changes) => {
    let signed = 0
    const identity = {
      ...DEVICE,
      id: DEVICE.id,
      publicKey: DEVICE.publicKey,
      sign: (bytes: Uint8Array) => {
        signed += 1
        return DEVICE.sign(bytes)
      },
    }
    try {
      signHoldfastProof({ ...sign, ...changes, identity })
      expect.unreachable()
    } catch (error) {
      if (!isHandshakeError(error)) throw error
      expect(error.code).toBe('WISH_INVALID')
      expect(error.detail.reason).toContain(field)
      const values = Object.values(changes).flatMap(value => JSON.stringify(value))
      for (const value of values) expect(error.message).not.toContain(value)
    }
    expect(signed).toBe(0)
  })

  test.each<[string, Partial<HoldfastSignOptions>]>([
    [`${MAX_SCOPES} scopes`, { scopes: names(MAX_SCOPES) }],
    ['a client nonce of 43 characters', { clientNonce: NONCE }],
    ['the beginning of time', { challenge: { ...CHALLENGE, ts: 0 } }],
    ['the first port', { dialled: { ...DIALLED, port: 1 } }],
    ['the last port', { dialled: { ...DIALLED, port: 65_535 } }],
    ['an IPv6 address', { dialled: { address: '::1', port: 1 } }],
  ])('%s are signed', (_, changes) => {
    expect(signHoldfastProof({ ...sign, ...changes }).fields.proof).toBe('holdfast/1')
  })
})
