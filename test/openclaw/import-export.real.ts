import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw, exportToOpenClaw, importOpenClawIdentity } from '@holdfast/openclaw'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  createRealHome,
  type RealCommandOutcome,
  type RealGateway,
  type RealHome,
  runRealCommand,
  startRealGateway,
} from './real-gateway.ts'
import { booksOf } from './real-pairing.ts'
import type { RealVersion } from './real-versions.ts'
import { connectForEach } from './wishes.ts'

let home: RealHome
let directory: string
let gateway: RealGateway | null
beforeEach(() => {
  home = createRealHome()
  directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-state-'))
  gateway = null
})
afterEach(async () => {
  await gateway?.stop()
  home.remove()
  rmSync(directory, { recursive: true, force: true })
})

const askHealth = (version: RealVersion, { url }: RealGateway): Promise<RealCommandOutcome> =>
  runRealCommand(version, home, [
    'gateway',
    'call',
    'health',
    '--json',
    '--url',
    url,
    '--token',
    home.gatewayToken,
  ])

const deviceFile = (): Record<string, unknown> =>
  JSON.parse(readFileSync(join(home.stateDirectory, 'identity', 'device.json'), 'utf8'))

/** Every file below a directory, with the digest of what is in it; but not the shared memory of a running database. */
function contentsOf(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  return Object.fromEntries(
    files
      .map(entry => join(entry.parentPath, entry.name))
      .filter(path => !path.endsWith('-shm'))
      .toSorted()
      .map(path => [path, createHash('sha256').update(readFileSync(path)).digest('hex')]),
  )
}

describe.each(['2026.2.21', '2026.4.8'] as const)('an install of openclaw %s', version => {
  test('is adopted: our processes are the device that its command line made', async () => {
    gateway = await startRealGateway(version, home)
    expect((await askHealth(version, gateway)).exitCode).toBe(0)
    const before = contentsOf(join(home.stateDirectory, 'identity'))
    const options = { directory, openclawDirectory: home.stateDirectory }
    const imported = await importOpenClawIdentity(options)
    expect(imported).toMatchObject({ outcome: 'adopted', identity: { id: deviceFile()['deviceId'] } })
    expect(await importOpenClawIdentity(options)).toMatchObject({ outcome: 'present' })
    expect(contentsOf(join(home.stateDirectory, 'identity'))).toEqual(before)

    const identity = await openIdentity({ directory })
    expect(identity.id).toBe(deviceFile()['deviceId'])
    const target = { url: gateway.url, token: home.gatewayToken }
    const enrolment = await enrollWithOpenClaw({ identity, ...target })
    expect(enrolment.outcome).toBe('enrolled')
    expect(await connectForEach('rwpa', identity, target)).toBe(4)
    // The command line goes on as before: one device for both.
    expect((await askHealth(version, gateway)).exitCode).toBe(0)
    expect(await booksOf(gateway)).toEqual({ paired: [identity.id], pending: [] })
  })

  test('that never ran is given our identity, and its command lines are our device from the start', async () => {
    const identity = await openIdentity({ directory })
    const options = { identity, openclawDirectory: home.stateDirectory }
    expect(await exportToOpenClaw(options)).toMatchObject({ outcome: 'written' })
    expect(await exportToOpenClaw(options)).toMatchObject({ outcome: 'present' })
    const path = join(home.stateDirectory, 'identity', 'device.json')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const before = readFileSync(path, 'utf8')
    gateway = await startRealGateway(version, home)
    await enrollWithOpenClaw({ identity, url: gateway.url, token: home.gatewayToken })
    const running = gateway
    const outcomes = await Promise.all([1, 2, 3, 4].map(() => askHealth(version, running)))
    expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0])
    expect(readFileSync(path, 'utf8')).toBe(before)
    expect(await booksOf(gateway)).toEqual({ paired: [identity.id], pending: [] })
  })
})

describe('an install of openclaw 2026.9.6', () => {
  test('is adopted while it runs and while it does not, and nothing in its directory is written', async () => {
    gateway = await startRealGateway('2026.9.6', home)
    const options = { directory, openclawDirectory: home.stateDirectory }
    const running = await importOpenClawIdentity(options)
    expect(running).toMatchObject({ outcome: 'adopted' })
    await gateway.stop()
    const state = join(home.stateDirectory, 'state')
    const before = contentsOf(state)
    const other = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-state-'))
    const stopped = await importOpenClawIdentity({ ...options, directory: other })
    expect(stopped?.identity.id).toBe(running?.identity.id)
    expect(contentsOf(state)).toEqual(before)
    rmSync(other, { recursive: true })
  })

  test('is not given a key file, which would keep its gateway from starting', async () => {
    gateway = await startRealGateway('2026.9.6', home)
    const identity = await openIdentity({ directory })
    const exported = exportToOpenClaw({ identity, openclawDirectory: home.stateDirectory })
    await expect(exported).rejects.toMatchObject({ code: 'OPENCLAW_USES_DATABASE' })
    expect(existsSync(join(home.stateDirectory, 'identity'))).toBe(false)
  })

  test('that was upgraded from 2026.4.8 with our identity in it is still our device', async () => {
    const identity = await openIdentity({ directory })
    await exportToOpenClaw({ identity, openclawDirectory: home.stateDirectory })
    gateway = await startRealGateway('2026.4.8', home)
    await enrollWithOpenClaw({ identity, url: gateway.url, token: home.gatewayToken })
    await gateway.stop()
    gateway = await startRealGateway('2026.9.6', home)
    const options = { directory, openclawDirectory: home.stateDirectory }
    expect(await importOpenClawIdentity(options)).toMatchObject({
      outcome: 'present',
      identity: { id: identity.id },
    })
    const target = { url: gateway.url, token: home.gatewayToken }
    expect(await connectForEach('awrp', identity, target)).toBe(4)
    expect(await booksOf(gateway)).toEqual({ paired: [identity.id], pending: [] })
  })
})
