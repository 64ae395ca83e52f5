import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningGateway, type StartGatewayOptions, startGateway } from '@holdfast/gateway'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createRealHome, type RealCommandOutcome, type RealHome, runRealCommand } from './real-gateway.ts'
import type { RealVersion } from './real-versions.ts'

let home: RealHome
let directory: string
let gateway: RunningGateway | null
beforeEach(() => {
  home = createRealHome()
  directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-gate-'))
  gateway = null
})
afterEach(async () => {
  await gateway?.close()
  home.remove()
  rmSync(directory, { recursive: true, force: true })
})

async function start(options: Omit<StartGatewayOptions, 'directory'>): Promise<RunningGateway> {
  gateway = await startGateway({ directory, ...options })
  return gateway
}

const tokenOf = (): string => readFileSync(join(directory, 'gateway-token', 'token'), 'utf8').trim()

const askHealth = (version: RealVersion, { url }: RunningGateway): Promise<RealCommandOutcome> =>
  runRealCommand(version, home, ['gateway', 'call', 'health', '--json', '--url', url, '--token', tokenOf()])

describe.each(['2026.2.21', '2026.4.8'] as const)('the command line of openclaw %s at our gate', version => {
  test('is admitted under a ceiling of operator.admin', async () => {
    const running = await start({ trustedLocal: { ceiling: ['operator.admin'] } })
    const outcome = await askHealth(version, running)
    expect(outcome).toMatchObject({ exitCode: 0 })
    const { items } = await running.store.listDevices()
    expect(items.map(({ trust }) => trust)).toEqual(['trusted-local'])
    expect((await askHealth(version, running)).exitCode).toBe(0)
    expect((await running.store.listDevices()).items).toHaveLength(1)
  })

  test('is told that it needs pairing under a lower one, and approving cures it', async () => {
    const running = await start({ trustedLocal: { ceiling: ['operator.read', 'operator.write'] } })
    const refused = await askHealth(version, running)
    expect(refused.exitCode).not.toBe(0)
    const [request] = (await running.store.listRequests()).items
    if (request === undefined) throw new Error('no request was filed')
    const by = { kind: 'store-writer' } as const
    await running.store.approveRequest(request.requestId, { by, expectedDigest: request.digest })
    expect(await askHealth(version, running)).toMatchObject({ exitCode: 0 })
  })
})

describe('the command line of openclaw 2026.9.6 at our gate', () => {
  test('sends no device, and is admitted where the author lets such peers in, and only there', async () => {
    const open = await start({
      trustedLocal: { ceiling: ['operator.admin'] },
      deviceless: { scopes: ['operator.read', 'operator.pairing'] },
    })
    expect(await askHealth('2026.9.6', open)).toMatchObject({ exitCode: 0 })
    expect((await open.store.listDevices()).items).toEqual([])
    await open.close()
    const closed = await start({ trustedLocal: { ceiling: ['operator.admin'] } })
    expect((await askHealth('2026.9.6', closed)).exitCode).not.toBe(0)
  })
})
