import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const folder = fileURLToPath(new URL('vectors/', import.meta.url))

test('holdfast/1 makes the golden vectors, byte for byte', () => {
  const args = ['--conditions=source', `${folder}write-holdfast-proof.ts`]
  const made = execFileSync(process.execPath, args, { encoding: 'utf8' })
  expect(JSON.parse(made)).toEqual(JSON.parse(readFileSync(`${folder}holdfast-proof.json`, 'utf8')))
})
