// The negative control: reads the key, and, where there is none, makes one and writes it in place.
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitAtBarrier } from '../../support/at-barrier.ts'

const [directory = ''] = process.argv.slice(2)
const { platform } = process
const file = join(directory, 'key')
waitAtBarrier()
try {
  console.log(JSON.stringify({ platform, id: readFileSync(file, 'utf8'), created: false }))
} catch {
  const id = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x ?? ''
  mkdirSync(directory, { recursive: true })
  writeFileSync(file, id)
  console.log(JSON.stringify({ platform, id, created: true }))
}
