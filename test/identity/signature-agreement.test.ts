import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { identityFrom, parsePublicKey, verifySignature } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { L } from './signature-cases.ts'
import { freshFolder } from './state-folder.ts'

const program = new URL('./programs/verdicts.ts', import.meta.url)
const withoutNative = new URL('./programs/without-native-ed25519.ts', import.meta.url).href

const COUNT = process.env['HOLDFAST_LONG'] === undefined ? 400 : 100_000
const SIDE_BY_SIDE = 2
const CHUNK = 5_000

interface Case {
  readonly key: string
  readonly message: string
  readonly signature: string
}

/** Numbers that follow from a seed: a failure is found again by it. */
function numbersFrom(seed: string): (below: number) => number {
  let counter = 0
  return below => createHash('sha256').update(`${seed} ${counter++}`).digest().readUInt32LE(0) % below
}

/** A signature, and what becomes of it: nothing, a changed bit, another's key, noise, or S in another spelling. */
function caseFrom(seed: string): Case {
  const next = numbersFrom(seed)
  const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => next(256)))
  const identity = identityFrom({ seed: bytes(32) })
  const message = bytes(next(64))
  const parts = {
    key: Buffer.from(identity.publicKey.toBytes()),
    message,
    signature: Buffer.from(identity.sign(message)),
  }
  const damage = next(8)
  if (damage < 3) flip(parts.signature, next)
  else if (damage === 3) flip(parts.key, next)
  else if (damage === 4) parts.key = Buffer.from(identityFrom({ seed: bytes(32) }).publicKey.toBytes())
  else if (damage === 5)
    parts.signature = Buffer.concat([bytes(next(2) === 0 ? 64 : 32), bytes(32)]).subarray(0, 64)
  else if (damage === 6) addOrder(parts.signature)
  return {
    key: parts.key.toString('hex'),
    message: parts.message.toString('hex'),
    signature: parts.signature.toString('hex'),
  }
}

function flip(bytes: Buffer, next: (below: number) => number): void {
  const bit = next(bytes.length * 8)
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
}

/** S + L: the same number to whoever does not look whether it is reduced. */
function addOrder(signature: Buffer): void {
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`)
  Buffer.from((s + L).toString(16).padStart(64, '0'), 'hex')
    .reverse()
    .copy(signature, 32)
}

function nativeVerdict({ key, message, signature }: Case): boolean {
  const parsed = parsePublicKey(Buffer.from(key, 'hex').toString('base64url'))
  return (
    parsed !== null && verifySignature(parsed, Buffer.from(message, 'hex'), Buffer.from(signature, 'hex'))
  )
}

async function portableVerdicts(cases: readonly Case[]): Promise<readonly boolean[]> {
  const file = join(freshFolder(), 'cases.json')
  writeFileSync(file, JSON.stringify({ cases, seeds: [] }))
  const { answer, stderr } = await runProgram(program, {
    args: [file],
    nodeFlags: ['--import', withoutNative],
  })
  expect(stderr).toBe('')
  return (answer as { verdicts: readonly boolean[] }).verdicts
}

describe('native and portable cryptography', () => {
  test(`C14 H12: give ${COUNT} random and damaged signatures the same verdict`, async () => {
    const seed = process.env['HOLDFAST_SEED'] ?? randomBytes(8).toString('hex')
    const chunks = Array.from({ length: Math.ceil(COUNT / CHUNK) }, (_, index) => index * CHUNK)
    let accepted = 0
    const decide = async (first: number): Promise<void> => {
      const length = Math.min(CHUNK, COUNT - first)
      const cases = Array.from({ length }, (_, index) => caseFrom(`${seed} ${first + index}`))
      const native = cases.map(nativeVerdict)
      const portable = await portableVerdicts(cases)
      const differing = cases.filter((_, index) => native[index] !== portable[index])
      expect({ seed, differing }).toEqual({ seed, differing: [] })
      accepted += native.filter(Boolean).length
    }
    for (let at = 0; at < chunks.length; at += SIDE_BY_SIDE) {
      await Promise.all(chunks.slice(at, at + SIDE_BY_SIDE).map(decide))
    }
    // About an eighth is left as it was signed: both verdicts were asked for.
    expect(accepted).toBeGreaterThan(COUNT / 16)
    expect(accepted).toBeLessThan(COUNT / 4)
  }, 3_600_000)
})
