// Verifies and signs what its first argument (a file) lists, through the front door, and prints the answers.
import { readFileSync } from 'node:fs'
import { formatPublicKey, identityFrom, parsePublicKey, verifySignature } from '@holdfast/identity'

const bytes = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const { cases, seeds } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'))
const verdicts = cases.map((one: { key: string; message: string; signature: string }) => {
  const key = parsePublicKey(Buffer.from(one.key, 'hex').toString('base64url'))
  return key !== null && verifySignature(key, bytes(one.message), bytes(one.signature))
})
const signed = seeds.map((one: { seed: string; message: string }) => {
  const identity = identityFrom({ seed: one.seed })
  const signature = Buffer.from(identity.sign(bytes(one.message))).toString('hex')
  return { id: identity.id, publicKey: formatPublicKey(identity.publicKey), signature }
})
console.log(JSON.stringify({ verdicts, signed }))
