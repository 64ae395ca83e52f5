// What it is measured against: a program that reads the same JSON and imports the key, and checks nothing.
import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'

const stored = JSON.parse(readFileSync(`${process.argv[2]}/device/key.json`, 'utf8'))
const jwk = { kty: 'OKP', crv: 'Ed25519', d: stored.secretKey, x: stored.publicKey }
createPrivateKey({ key: jwk, format: 'jwk' })
process.stdout.write(`${stored.deviceId}\n`)
