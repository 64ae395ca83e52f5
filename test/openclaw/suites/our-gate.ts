import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RunningGateway, type StartGatewayOptions, startGateway } from '@holdfast/gateway'
import { createEphemeralIdentity, openIdentity } from '@holdfast/identity'
import { importOpenClawIdentity } from '@holdfast/openclaw'
import { connectToGateway } from '@holdfast/spawner'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { holdfastJson, startGatewayProcess } from '../../cli/holdfast.ts'
import { createRealHome, type RealCommandOutcome, type RealHome, runRealCommand } from '../real-gateway.ts'
import { jsonOf } from '../real-output.ts'
import type { RealVersion } from '../real-versions.ts'
import { useDirectories } from '../release.ts'

/** The release's own command line, at a gate of ours. Up to 2026.8 it shows a device; 2026.9 shows none on its own machine. */
export function ourGate(version: RealVersion): void {
  const newDirectory = useDirectories()
  let home: RealHome
  let directory: string
  let gateway: RunningGateway | null
  const before = (): void => {
    home = createRealHome()
    directory = newDirectory()
    gateway = null
  }
  const after = async (): Promise<void> => {
    await gateway?.close()
    home.remove()
  }

  async function start(options: Omit<StartGatewayOptions, 'directory'>): Promise<RunningGateway> {
    gateway = await startGateway({ directory, ...options })
    return gateway
  }

  const tokenOf = (): string => readFileSync(join(directory, 'gateway-token', 'token'), 'utf8').trim()

  const run = (url: string, command: string): Promise<RealCommandOutcome> => {
    const words = [...command.split(' '), '--json', '--url', url, '--token', tokenOf(), '--timeout', '60000']
    return runRealCommand(version, home, words)
  }

  /** A node, which no ceiling of operators' scopes lets in. */
  async function nodeThatAsks({ url, gatewayId, store }: RunningGateway): Promise<string> {
    const wish = connectToGateway({
      identity: createEphemeralIdentity(),
      ...{
        url,
        gatewayId,
        token: tokenOf(),
        protocol: 'openclaw',
        role: 'node',
        scopes: [],
        reconnect: false,
      },
    })
    await expect(wish).rejects.toMatchObject({ detail: { code: 'PAIRING_REQUIRED' } })
    const [request] = (await store.listRequests()).items
    return request?.requestId ?? 'none'
  }

  /** Its health, the lists, and the approval of what is in them. */
  async function expectEveryCommand(running: RunningGateway): Promise<void> {
    expect(jsonOf(await run(running.url, 'gateway call health'))).toMatchObject({ ok: true })
    const requestId = await nodeThatAsks(running)
    expect(jsonOf(await run(running.url, 'devices list'))).toMatchObject({ pending: [{ requestId }] })
    expect(jsonOf(await run(running.url, `devices approve ${requestId}`))).toMatchObject({ requestId })
    expect((await running.store.listRequests()).items).toEqual([])
  }

  if (version === '2026.9.6') {
    describe("the release's command line at our gate, where it shows no device", () => {
      beforeEach(before)
      afterEach(after)

      test('has its health, lists and approves where the author lets such peers in, and only there', async () => {
        const open = await start({
          trustedLocal: { ceiling: ['operator.admin'] },
          deviceless: { scopes: ['operator.admin'] },
        })
        await expectEveryCommand(open)
        const trusts = (await open.store.listDevices()).items.map(({ trust }) => trust)
        expect(trusts).toEqual(['approved'])
        await open.close()
        const closed = await start({ trustedLocal: { ceiling: ['operator.admin'] } })
        expect((await run(closed.url, 'gateway call health')).exitCode).not.toBe(0)
      })
    })
    return
  }

  describe("the release's command line at our gate", () => {
    beforeEach(before)
    afterEach(after)

    test('has its health, lists and approves under a ceiling of operator.admin, as one device', async () => {
      const running = await start({ trustedLocal: { ceiling: ['operator.admin'] } })
      await expectEveryCommand(running)
      const trusts = (await running.store.listDevices()).items.map(({ trust }) => trust)
      expect(trusts.toSorted()).toEqual(['approved', 'trusted-local'])
    })

    test('with the key that an install of ours uses for holdfast/1 too, has them where the author allows both proofs, and only there', async () => {
      const trustedLocal = { ceiling: ['operator.admin'] }
      const both = await start({ trustedLocal, allowOpenClawProof: true })
      expect(jsonOf(await run(both.url, 'gateway call health'))).toMatchObject({ ok: true })
      const imported = { directory: newDirectory(), openclawDirectory: home.stateDirectory }
      expect(await importOpenClawIdentity(imported)).toMatchObject({ outcome: 'adopted' })
      const identity = await openIdentity(imported)
      const wish = { role: 'operator', scopes: ['operator.admin'], reconnect: false } as const
      const { url, gatewayId } = both
      const connection = await connectToGateway({ identity, url, gatewayId, token: tokenOf(), ...wish })
      await connection.close()
      expect((await both.store.listDevices()).items).toMatchObject([
        { deviceId: identity.id, trust: 'trusted-local' },
      ])
      await expectEveryCommand(both)
      await both.close()

      const one = await start({ trustedLocal })
      const refused = await run(one.url, 'gateway call health')
      expect(refused.exitCode).not.toBe(0)
      expect(refused.stderr).toContain('this device has proven itself by a stronger proof before')
      expect((await one.store.listRequests()).items).toEqual([])
    })

    test('is told PAIRING_REQUIRED under the default ceiling, and `holdfast approve` cures it', async () => {
      const { url } = await startGatewayProcess(directory)
      const refused = await run(url, 'gateway call health')
      expect(refused.exitCode).not.toBe(0)
      expect(refused.stderr).toContain('pairing required')
      type Requests = { readonly requests: readonly { readonly requestId: string }[] }
      const { requests } = await holdfastJson<Requests>(directory, 'requests')
      expect(requests).toHaveLength(1)
      await holdfastJson(directory, 'approve', requests[0]?.requestId ?? 'none')
      expect(jsonOf(await run(url, 'gateway call health'))).toMatchObject({ ok: true })
    })
  })
}
