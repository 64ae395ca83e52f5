import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, inspect } from 'node:util'
import { serialize } from 'node:v8'
import { createEphemeralIdentity, type DeviceIdentity, identityFrom, openIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { rfcVectors } from './signature-cases.ts'
import { failureOf, freshFolder } from './state-folder.ts'

const seed = Buffer.from(rfcVectors[0].seed, 'hex')

/** Every spelling in which the private key could turn up, whole or by its first half. */
function spellingsOf(secret: Buffer): readonly string[] {
  return ['hex', 'base64', 'base64url', 'latin1'].map(encoding =>
    secret.toString(encoding as BufferEncoding).slice(0, 16),
  )
}

function printed(identity: DeviceIdentity): readonly string[] {
  return [
    inspect(identity, { depth: Infinity, showHidden: true, getters: true }),
    inspect({ identity }, { customInspect: false, depth: Infinity, showHidden: true }),
    format('%s %o %O %j', identity, identity, identity, identity),
    String(identity),
    JSON.stringify(identity),
    JSON.stringify({ ...identity }),
    JSON.stringify(structuredClone(identity)),
    serialize(structuredClone(identity)).toString('latin1'),
    JSON.stringify(Object.entries(Object.getOwnPropertyDescriptors(identity))),
    Reflect.ownKeys(identity).join(),
  ]
}

describe('M4: the private key', () => {
  test('never shows, however an identity is printed, cloned or taken apart', () => {
    const identity = identityFrom({ seed: Uint8Array.from(seed) })
    for (const text of printed(identity)) {
      for (const spelling of spellingsOf(seed)) expect(text).not.toContain(spelling)
    }
    expect(JSON.parse(JSON.stringify(identity))).toEqual({
      id: identity.id,
      publicKey: `${identity.publicKey}`,
    })
    expect(inspect(identity)).toContain(identity.id)
  })

  test('would be seen by these checks if it were there (negative control)', () => {
    const leaky = {
      ...createEphemeralIdentity(),
      secret: seed.toString('base64url'),
    } as unknown as DeviceIdentity
    expect(printed(leaky).some(text => spellingsOf(seed).some(spelling => text.includes(spelling)))).toBe(
      true,
    )
  })

  test('does not show in the error of a damaged file either', async () => {
    const directory = freshFolder()
    await openIdentity({ directory })
    const keyFile = join(directory, 'device', 'key.json')
    const text = readFileSync(keyFile, 'utf8')
    const secret = Buffer.from(JSON.parse(text).secretKey, 'base64url')
    for (const damage of [
      text.slice(0, -10),
      text.replace('"secretKey"', 'secretKey'),
      text.replace('"version": 1', '"version": 9'),
    ]) {
      writeFileSync(keyFile, damage)
      const failure = await failureOf(() => openIdentity({ directory }))
      const said = inspect(failure, { depth: Infinity, showHidden: true }) + JSON.stringify(failure.detail)
      for (const spelling of spellingsOf(secret)) expect(said).not.toContain(spelling)
    }
  })

  test('an identity and its key cannot be changed from outside', () => {
    const identity = createEphemeralIdentity()
    expect(Object.isFrozen(identity)).toBe(true)
    expect(() => identity.sign('text' as unknown as Uint8Array)).toThrow(TypeError)
  })
})
