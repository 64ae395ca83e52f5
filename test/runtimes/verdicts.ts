// Decides the same few hundred signatures on whichever Node runs it, good ones and bad ones, and prints the verdicts as one
// digit a case: ours, and for comparison those of `node:crypto` alone, which are not the same on every version.
import { createHash, createPublicKey, verify } from 'node:crypto'
import process from 'node:process'
import { type DeviceIdentity, identityFrom, parsePublicKey, verifySignature } from '@holdfast/identity'
import { constructedCases, hexOf, L, rfcVectors, smallOrderSpellings } from '../identity/signature-cases.ts'

interface Case {
  readonly key: string
  readonly message: string
  readonly signature: string
}

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')
const seedOf = (index: number): string => createHash('sha256').update(`seed ${index}`).digest('hex')

function ours({ key, message, signature }: Case): boolean {
  const parsed = parsePublicKey(bytes(key).toString('base64url'))
  return parsed !== null && verifySignature(parsed, bytes(message), bytes(signature))
}

/** What a caller without this library would have. A key that the runtime does not take is a no. */
function bare({ key, message, signature }: Case): boolean {
  try {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes(key).toString('base64url') }
    return verify(null, bytes(message), createPublicKey({ key: jwk, format: 'jwk' }), bytes(signature))
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}

/** An honest signature, and six ways to spoil it, each at a place that the index chooses. */
function variantsOf(identity: DeviceIdentity, index: number): readonly Case[] {
  const honest = {
    key: Buffer.from(identity.publicKey.toBytes()).toString('hex'),
    message: Buffer.from(`message ${index}`).toString('hex'),
    signature: Buffer.from(identity.sign(Buffer.from(`message ${index}`))).toString('hex'),
  }
  const s = BigInt(`0x${bytes(honest.signature.slice(64)).reverse().toString('hex')}`)
  const small = smallOrderSpellings[index % smallOrderSpellings.length] ?? ''
  return [
    honest,
    { ...honest, key: flipped(honest.key, index) },
    { ...honest, message: flipped(honest.message, index) },
    { ...honest, signature: flipped(honest.signature, index * 5) },
    { ...honest, signature: honest.signature.slice(0, 64) + hexOf(s + L) },
    { ...honest, key: small },
    { ...honest, signature: small + honest.signature.slice(64) },
  ]
}

function flipped(hex: string, bit: number): string {
  const changed = bytes(hex)
  const at = (bit >> 3) % changed.length
  changed[at] = (changed[at] ?? 0) ^ (1 << (bit & 7))
  return changed.toString('hex')
}

const cases: readonly Case[] = [
  ...rfcVectors,
  ...constructedCases,
  ...Array.from({ length: 100 }, (_, index) =>
    variantsOf(identityFrom({ seed: seedOf(index) }), index),
  ).flat(),
]
const digits = (decide: (one: Case) => boolean): string => cases.map(one => (decide(one) ? 1 : 0)).join('')
console.log(JSON.stringify({ node: process.version, ours: digits(ours), bare: digits(bare) }))
