import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunningGateway, startGateway } from '@holdfast/gateway'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const FOLDER = fileURLToPath(new URL('python/', import.meta.url))
const VECTORS = fileURLToPath(new URL('../handshake/vectors/openclaw-proof.json', import.meta.url))
const HOLDFAST_VECTORS = fileURLToPath(new URL('../handshake/vectors/holdfast-proof.json', import.meta.url))
/** RFC 8032 §7.1, TEST 1: a seed that everybody knows may stand in an argument. */
const PUBLISHED_SEED = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'

const python = findPython()

/** The name of a Python that runs the client, or `null`: no lane but one that says so needs it. */
function findPython(): string | null {
  const asked = ['-c', 'import sys; sys.exit(sys.version_info < (3, 9))']
  return ['python3', 'python'].find(name => spawnSync(name, asked, { stdio: 'ignore' }).status === 0) ?? null
}

interface Run {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

function runPython(args: readonly string[]): Promise<Run> {
  if (python === null) throw new TypeError('this test must be skipped where there is no Python')
  return new Promise((resolve, reject) => {
    // -B: leaves no compiled files in the checkout.
    execFile(python, ['-B', '-W', 'error', ...args], { cwd: FOLDER }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== 'number') reject(error)
      else resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

/** What the client prints. */
interface Report {
  readonly ok: boolean
  readonly hello?: {
    readonly protocol: number
    readonly auth: { readonly role: string; readonly scopes: string[] }
  }
  readonly error?: { readonly code: string; readonly details: Readonly<Record<string, unknown>> }
  readonly closeCode: number
  readonly callResult?: { readonly ok: boolean; readonly payload: unknown }
}

test.runIf(process.env['HOLDFAST_NEED_PYTHON'] === '1')('Python is here, as this lane needs it', () => {
  expect(python).not.toBeNull()
})

describe.skipIf(python === null)('what the Python client is made of', () => {
  test('its Ed25519 passes RFC 8032 §7.1, its WebSocket the examples of RFC 6455', async () => {
    const run = await runPython(['-m', 'unittest'])
    expect(run.stderr).toMatch(/^Ran [1-9]\d* tests/m)
    expect(run.stderr).not.toContain('skipped')
    expect(run.exitCode, run.stderr).toBe(0)
  })

  test('Python makes every golden vector, v2 and v3, byte for byte', async () => {
    const run = await runPython(['vectors_check.py', VECTORS])
    expect(run.exitCode, run.stderr).toBe(0)
    const { cases, wrong } = JSON.parse(run.stdout)
    expect(wrong).toEqual([])
    expect(cases.v2).toBeGreaterThan(0)
    expect(cases.v3).toBeGreaterThan(0)
  })

  test('Python makes every golden vector of holdfast/1, byte for byte, from the page of the protocol alone', async () => {
    const run = await runPython(['holdfast_vectors_check.py', HOLDFAST_VECTORS])
    expect(run.exitCode, run.stdout + run.stderr).toBe(0)
    const { cases, wrong } = JSON.parse(run.stdout)
    expect(wrong).toEqual([])
    expect(Object.keys(cases).sort()).toEqual(['delegation', 'device-key', 'gateway-token', 'join-code'])
  })
})

describe.skipIf(python === null)('a gate, met by a client that shares no code with it', () => {
  let directory: string
  let gateway: RunningGateway
  let device: DeviceIdentity

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'holdfast-python-'))
    device = await openIdentity({ directory })
    const trustedLocal = { ceiling: ['operator.read', 'operator.write'] }
    gateway = await startGateway({ directory, trustedLocal })
  })

  afterAll(async () => {
    await gateway?.close()
    rmSync(directory, { recursive: true, force: true })
  })

  const ask = async (args: readonly string[], token = gateway.location.gatewayToken) => {
    const connection = ['--url', gateway.url, '--token-file', token]
    const run = await runPython(['holdfast_client.py', ...connection, ...args])
    expect([0, 1], run.stdout + run.stderr).toContain(run.exitCode)
    return JSON.parse(run.stdout) as Report
  }
  const asDevice = (...args: string[]) => ask(['--key-file', device.location?.deviceKey ?? '', ...args])
  const asStranger = (...args: string[]) => ask(['--seed-hex', PUBLISHED_SEED, ...args])
  const deviceIds = async () => (await gateway.store.listDevices()).items.map(each => each.deviceId)

  test('admits read by v3 and then write by v2 with the same key, which is one device', async () => {
    const read = await asDevice('--scopes', 'operator.read', '--proof', 'v3')
    expect(read).toMatchObject({
      ok: true,
      hello: { auth: { role: 'operator', scopes: ['operator.read'] } },
    })
    const write = await asDevice('--scopes', 'operator.write', '--proof', 'v2')
    expect(write).toMatchObject({ ok: true, hello: { auth: { scopes: ['operator.write'] } } })
    expect([read.closeCode, write.closeCode]).toEqual([1000, 1000])
    expect(await deviceIds()).toEqual([device.id])
  })

  test('verifies metadata as the peer folds it, and scopes in the order in which they were sent', async () => {
    const metadata = ['--platform', '  Linux X ', '--device-family', 'PC']
    const report = await asDevice('--scopes', 'operator.write,operator.read', ...metadata)
    expect(report).toMatchObject({
      ok: true,
      hello: { auth: { scopes: ['operator.read', 'operator.write'] } },
    })
  })

  test('answers a call', async () => {
    const report = await asDevice('--scopes', 'operator.read', '--call', 'health')
    expect(report).toMatchObject({
      ok: true,
      callResult: { ok: true, payload: { ok: true } },
      closeCode: 1000,
    })
  })

  test('reads a connect and a call that come in fragments, with pings between', async () => {
    const report = await asDevice('--scopes', 'operator.read', '--call', 'health', '--fragment', '64')
    expect(report).toMatchObject({ ok: true, callResult: { ok: true } })
  })

  test.each([
    ['3', '3', 3],
    ['4', '4', 4],
    ['3', '4', 4],
    ['1', '9', 4],
  ])('speaks to a client of protocols %s to %s in %i', async (min, max, spoken) => {
    const report = await asDevice('--scopes', 'operator.read', '--protocol', min, max)
    expect(report).toMatchObject({ ok: true, hello: { protocol: spoken } })
  })

  test.each([
    ['5', '9'],
    ['1', '2'],
  ])('refuses a client of protocols %s to %s with 1002', async (min, max) => {
    const report = await asDevice('--scopes', 'operator.read', '--protocol', min, max)
    expect(report).toMatchObject({
      ok: false,
      error: {
        code: 'INVALID_REQUEST',
        details: { code: 'PROTOCOL_MISMATCH', refusal: 'protocol-mismatch' },
      },
      closeCode: 1002,
    })
  })

  test('refuses a wrong token by name, and keeps nothing of who showed it', async () => {
    const before = await deviceIds()
    const wrong = join(directory, 'wrong-token')
    writeFileSync(wrong, randomBytes(32).toString('base64url'))
    const report = await ask(['--seed-hex', PUBLISHED_SEED, '--scopes', 'operator.read'], wrong)
    expect(report).toMatchObject({
      ok: false,
      error: {
        code: 'INVALID_REQUEST',
        details: { code: 'AUTH_TOKEN_MISMATCH', canRetryWithDeviceToken: true },
      },
      closeCode: 1008,
    })
    expect(await deviceIds()).toEqual(before)
  })

  test.each([
    ['flipped-bit', 'DEVICE_AUTH_SIGNATURE_INVALID'],
    ['other-message', 'DEVICE_AUTH_SIGNATURE_INVALID'],
    ['unreduced-response', 'DEVICE_AUTH_SIGNATURE_INVALID'],
    ['small-order-key', 'DEVICE_AUTH_PUBLIC_KEY_INVALID'],
  ])('refuses the forgery %s as %s, and keeps nothing of it', async (forgery, code) => {
    const before = await deviceIds()
    for (const proof of ['v2', 'v3']) {
      const report = await asStranger('--scopes', 'operator.read', '--proof', proof, '--forge', forgery)
      expect(report).toMatchObject({ ok: false, error: { details: { code } }, closeCode: 1008 })
    }
    expect(await deviceIds()).toEqual(before)
  })

  // The control of the forgeries: the same stranger passes where it signs honestly.
  test('admits an honest stranger that shows the token, as a second device', async () => {
    const report = await asStranger('--scopes', 'operator.read')
    expect(report.ok).toBe(true)
    expect(await deviceIds()).toHaveLength(2)
  })

  test('asks a person for what is above the ceiling, and says what is missing', async () => {
    const report = await asDevice('--scopes', 'operator.read,operator.admin')
    expect(report).toMatchObject({
      ok: false,
      error: { code: 'NOT_PAIRED', details: { code: 'PAIRING_REQUIRED', missing: ['operator.admin'] } },
      closeCode: 1008,
    })
    const requests = (await gateway.store.listRequests()).items.map(each => each.requestId)
    expect(requests).toEqual([report.error?.details['requestId']])
  })
  test('takes a holdfast/1 proof from it, and proves itself; the device is then held to that', async () => {
    const own = await openIdentity({ directory: join(directory, 'another') })
    const key = ['--key-file', own.location?.deviceKey ?? '', '--scopes', 'operator.read']
    const pinned = ['--gateway-id', gateway.gatewayId]
    const first = await ask([...key, ...pinned, '--call', 'health'])
    expect(first).toMatchObject({ ok: true, gatewayProven: true, callResult: { ok: true } })
    expect(await deviceIds()).toContain(own.id)
    const weaker = await ask(key)
    expect(weaker).toMatchObject({
      ok: false,
      error: { details: { refusal: 'proof-downgraded', rule: '7a' } },
    })
    // The control: pinned to another gateway the same frame is none of this one's business.
    const elsewhere = await ask([...key, '--gateway-id', own.id])
    expect(elsewhere).toMatchObject({
      ok: false,
      error: { details: { refusal: 'gateway-mismatch', rule: '6' } },
    })
  })
})
