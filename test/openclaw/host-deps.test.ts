import { generateKeyPairSync, verify } from 'node:crypto'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { openClawProofBytes } from '@holdfast/handshake'
import {
  createEphemeralIdentity,
  type DeviceIdentity,
  formatPublicKey,
  openIdentity,
} from '@holdfast/identity'
import { createHostDeps, type OpenClawHostDeps, withV2Proofs } from '@holdfast/openclaw'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startTogether } from '../support/processes.ts'

const URL_A = 'ws://127.0.0.1:18789'
const URL_B = 'ws://127.0.0.1:18790'
const READ = ['operator.read']
const WRITE = ['operator.read', 'operator.write']

let directory: string
let identity: DeviceIdentity
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'holdfast-host-deps-'))
  identity = await openIdentity({ directory })
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const ownerOf = (role = 'operator') => ({ deviceId: identity.id, role })
const deps = (url = URL_A): OpenClawHostDeps => createHostDeps({ identity, url })
const folder = (): string => join(directory, 'openclaw-tokens')
const onlyFile = (): string => join(folder(), readdirSync(folder())[0] ?? '')

/** The string that a client would have signed, with these scopes and this credential. */
function proofText(scopes: readonly string[], credential: string, version: 'v2' | 'v3' = 'v3'): string {
  const client = { id: 'cli', mode: 'cli', platform: 'linux', deviceFamily: null }
  const fields = { deviceId: identity.id, client, role: 'operator', scopes, credential }
  return Buffer.from(openClawProofBytes(version, { ...fields, signedAtMs: 1, nonce: 'n' })).toString()
}

function show(host: OpenClawHostDeps, scopes: readonly string[], credential: string): void {
  host.signDevicePayload(host.loadOrCreateDeviceIdentity().privateKeyPem, proofText(scopes, credential))
}

describe('the identity that the client is given', () => {
  test('holds no key: its private half is a handle that nobody else can use', () => {
    const host = deps()
    const { deviceId, privateKeyPem } = host.loadOrCreateDeviceIdentity()
    expect(deviceId).toBe(identity.id)
    const { secretKey } = JSON.parse(readFileSync(join(directory, 'device', 'key.json'), 'utf8'))
    const everything =
      inspect(host, { depth: 9, showHidden: true }) + JSON.stringify(host.loadOrCreateDeviceIdentity())
    expect(everything.includes(secretKey)).toBe(false)
    expect(() => deps().signDevicePayload(privateKeyPem, proofText(READ, ''))).toThrow(TypeError)
  })

  test('its public half is the raw key, of this identity and of any other', () => {
    const host = deps()
    const { publicKeyPem } = host.loadOrCreateDeviceIdentity()
    expect(host.publicKeyRawBase64UrlFromPem(publicKeyPem)).toBe(formatPublicKey(identity.publicKey))
    const other = generateKeyPairSync('ed25519').publicKey
    const pem = other.export({ format: 'pem', type: 'spki' }).toString()
    expect(host.publicKeyRawBase64UrlFromPem(pem)).toBe(other.export({ format: 'jwk' }).x)
    const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
    expect(() =>
      host.publicKeyRawBase64UrlFromPem(foreign.export({ format: 'pem', type: 'spki' }).toString()),
    ).toThrow(TypeError)
  })
})

describe('signing', () => {
  test.each(['v2', 'v3'] as const)('as %s: exactly the bytes that such a gateway checks', proof => {
    const host = createHostDeps({ identity, url: URL_A, proof })
    const { privateKeyPem, publicKeyPem } = host.loadOrCreateDeviceIdentity()
    const signature = Buffer.from(host.signDevicePayload(privateKeyPem, proofText(WRITE, 'a|b')), 'base64url')
    expect(verify(null, Buffer.from(proofText(WRITE, 'a|b', proof)), publicKeyPem, signature)).toBe(true)
  })

  test.each([
    ['another device', (text: string) => text.replace(/\|[0-9a-f]{64}\|/, `|${'0'.repeat(64)}|`)],
    ['another domain', (text: string) => `\0${text}`],
    ['an older string, which has no nonce', (text: string) => text.replace('v3|', 'v1|')],
    ['something else', () => 'hello'],
    ['nothing', () => ''],
  ])('refuses a text of %s', (_, change) => {
    const host = deps()
    const { privateKeyPem } = host.loadOrCreateDeviceIdentity()
    expect(() => host.signDevicePayload(privateKeyPem, change(proofText(READ, '')))).toThrow(TypeError)
  })

  test('an identity for older gateways signs each newer string as the older one, and anything else as it is', () => {
    const name = fc.stringMatching(/^[a-z0-9._:-]{1,12}$/)
    const metadata = fc.stringMatching(/^[a-zA-Z0-9 ]{1,12}$/)
    const ephemeral = createEphemeralIdentity()
    const older = withV2Proofs(ephemeral)
    fc.assert(
      fc.property(
        fc.record({
          deviceId: fc.constant(ephemeral.id),
          client: fc.record({ id: name, mode: name, platform: metadata, deviceFamily: fc.option(metadata) }),
          role: name,
          scopes: fc.array(name, { maxLength: 4 }),
          signedAtMs: fc.nat(),
          credential: fc.stringMatching(/^[\x21-\x7e]{0,12}$/),
          nonce: name,
        }),
        fields => {
          const v2 = openClawProofBytes('v2', fields)
          expect(older.sign(openClawProofBytes('v3', fields))).toEqual(ephemeral.sign(v2))
          expect(older.sign(v2)).toEqual(ephemeral.sign(v2))
        },
      ),
      { numRuns: 100 },
    )
    const bytes = new Uint8Array([0, 255, 118, 51, 124])
    expect(older.sign(bytes)).toEqual(ephemeral.sign(bytes))
  })
})

describe('device tokens', () => {
  test('are kept apart by gateway, device and role, and found by every process of the install', () => {
    const token = 'a-token'
    deps().storeDeviceAuthToken({ ...ownerOf(), token, scopes: READ })
    expect(deps().loadDeviceAuthToken(ownerOf())).toEqual({ token, scopes: READ })
    expect(deps('ws://127.0.0.1:18789/').loadDeviceAuthToken(ownerOf())?.token).toBe(token)
    expect(deps(URL_B).loadDeviceAuthToken(ownerOf())).toBe(null)
    expect(deps().loadDeviceAuthToken(ownerOf('node'))).toBe(null)
    expect(deps().loadDeviceAuthToken({ deviceId: '0'.repeat(64), role: 'operator' })).toBe(null)
    const { id } = createEphemeralIdentity()
    deps().storeDeviceAuthToken({ deviceId: id, role: 'operator', token, scopes: READ })
    expect(readdirSync(folder())).toHaveLength(1)
  })

  test.skipIf(process.platform === 'win32')('are for this user alone, whatever the umask', () => {
    const before = process.umask(0)
    try {
      deps().storeDeviceAuthToken({ ...ownerOf(), token: 'a-token', scopes: READ })
    } finally {
      process.umask(before)
    }
    expect(statSync(onlyFile()).mode & 0o777).toBe(0o600)
    expect(statSync(folder()).mode & 0o777).toBe(0o700)
  })

  test.each([
    ['damaged', (path: string) => writeFileSync(path, '{"token":')],
    ['empty', (path: string) => writeFileSync(path, '')],
    ['of another shape', (path: string) => writeFileSync(path, '{"token":1,"scopes":[]}')],
    ['null', (path: string) => writeFileSync(path, 'null')],
    ['open to others', (path: string) => chmodSync(path, 0o644)],
  ])('a file that is %s counts as none, and is replaced', (_, spoil) => {
    deps().storeDeviceAuthToken({ ...ownerOf(), token: 'first', scopes: READ })
    spoil(onlyFile())
    expect(deps().loadDeviceAuthToken(ownerOf())).toBe(null)
    deps().storeDeviceAuthToken({ ...ownerOf(), token: 'second', scopes: READ })
    expect(deps().loadDeviceAuthToken(ownerOf())?.token).toBe('second')
    expect(statSync(onlyFile()).mode & 0o777).toBe(0o600)
  })

  test('are not put where a link leads, and the client goes on without', () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'holdfast-elsewhere-'))
    symlinkSync(elsewhere, folder())
    const problems: string[] = []
    const host = createHostDeps({ identity, url: URL_A, onTokenProblem: ({ code }) => problems.push(code) })
    host.storeDeviceAuthToken({ ...ownerOf(), token: 'a-token', scopes: READ })
    expect(problems).toEqual(['OPENCLAW_NOT_WRITABLE'])
    expect(readdirSync(elsewhere)).toEqual([])
    rmSync(elsewhere, { recursive: true })
  })

  test('of an identity in memory stay in memory', () => {
    const ephemeral = createEphemeralIdentity()
    const host = createHostDeps({ identity: ephemeral, url: URL_A })
    const owner = { deviceId: ephemeral.id, role: 'operator' }
    host.storeDeviceAuthToken({ ...owner, token: 'a-token', scopes: READ })
    expect(host.loadDeviceAuthToken(owner)?.token).toBe('a-token')
    expect(createHostDeps({ identity: ephemeral, url: URL_A }).loadDeviceAuthToken(owner)).toBe(null)
  })

  test('a token that stays the same keeps what it was ever good for', () => {
    const host = deps()
    host.storeDeviceAuthToken({ ...ownerOf(), token: 'a-token', scopes: WRITE })
    host.storeDeviceAuthToken({ ...ownerOf(), token: 'a-token', scopes: READ })
    expect(host.loadDeviceAuthToken(ownerOf())?.scopes).toEqual(WRITE)
    host.storeDeviceAuthToken({ ...ownerOf(), token: 'another', scopes: READ })
    expect(host.loadDeviceAuthToken(ownerOf())?.scopes).toEqual(READ)
  })

  test('32 processes that store at once lose no entry, where one file for all would', async () => {
    const program = new URL('./programs/store-token.ts', import.meta.url)
    const count = 32
    const stored = async (mode: string): Promise<number> => {
      const outcomes = await startTogether(program, count, index => ({
        args: [mode, directory, `role-${index}`],
      }))
      if (mode === 'one-file') return entriesOf(readFileSync(join(directory, 'tokens.json'), 'utf8'))
      expect(outcomes.map(({ exitCode, stderr }) => ({ exitCode, stderr }))).toEqual(
        outcomes.map(() => ({ exitCode: 0, stderr: '' })),
      )
      return readdirSync(folder()).length
    }
    // Two writers at once can leave a file that is no JSON any more: then all of it is lost.
    const entriesOf = (text: string): number => {
      try {
        return Object.keys(JSON.parse(text)).length
      } catch {
        return 0
      }
    }
    expect(await stored('host-deps')).toBe(count)
    const host = deps()
    for (let index = 0; index < count; index++) {
      expect(host.loadDeviceAuthToken(ownerOf(`role-${index}`))?.token).toBe(`token of role-${index}`)
    }
    // The negative control: read, then write, with everybody in between.
    expect(await stored('one-file')).toBeLessThan(count)
  })
})

describe('a token that the gateway refused', () => {
  test('is cleared, and no other', () => {
    const host = deps()
    host.storeDeviceAuthToken({ ...ownerOf(), token: 'a-token', scopes: READ })
    host.storeDeviceAuthToken({ ...ownerOf('node'), token: 'of-a-node', scopes: [] })
    deps(URL_B).storeDeviceAuthToken({ ...ownerOf(), token: 'of-b', scopes: READ })
    show(host, READ, 'a-token')
    host.clearDeviceAuthToken(ownerOf())
    host.clearDeviceAuthToken(ownerOf())
    expect(host.loadDeviceAuthToken(ownerOf())).toBe(null)
    expect(host.loadDeviceAuthToken(ownerOf('node'))?.token).toBe('of-a-node')
    expect(deps(URL_B).loadDeviceAuthToken(ownerOf())?.token).toBe('of-b')
  })

  test('stays where more was asked than it is good for', () => {
    const host = deps()
    host.storeDeviceAuthToken({ ...ownerOf(), token: 'a-token', scopes: READ })
    show(host, WRITE, 'a-token')
    host.clearDeviceAuthToken(ownerOf())
    expect(host.loadDeviceAuthToken(ownerOf())?.token).toBe('a-token')
  })

  test('goes where its scopes amount to what was asked', () => {
    const host = deps()
    host.storeDeviceAuthToken({ ...ownerOf(), token: 'a-token', scopes: ['operator.admin'] })
    show(host, WRITE, 'a-token')
    host.clearDeviceAuthToken(ownerOf())
    expect(host.loadDeviceAuthToken(ownerOf())).toBe(null)
  })

  test('stays where another process has stored a newer one meanwhile', () => {
    const host = deps()
    host.storeDeviceAuthToken({ ...ownerOf(), token: 'old', scopes: READ })
    show(host, READ, 'old')
    deps().storeDeviceAuthToken({ ...ownerOf(), token: 'new', scopes: READ })
    host.clearDeviceAuthToken(ownerOf())
    expect(deps().loadDeviceAuthToken(ownerOf())?.token).toBe('new')
  })
})
