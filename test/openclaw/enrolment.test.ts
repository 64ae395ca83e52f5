import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningGateway, startGateway } from '@holdfast/gateway'
import { createEphemeralIdentity, type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startRelay } from './relay.ts'

let gateDirectory: string
let directory: string
let gateway: RunningGateway | null
beforeEach(() => {
  gateDirectory = mkdtempSync(join(tmpdir(), 'holdfast-enrol-gate-'))
  directory = mkdtempSync(join(tmpdir(), 'holdfast-enrol-'))
  gateway = null
})
afterEach(async () => {
  await gateway?.close()
  for (const folder of [gateDirectory, directory]) rmSync(folder, { recursive: true, force: true })
})

async function enrolUnder(ceiling: readonly string[]) {
  gateway = await startGateway({ directory: gateDirectory, trustedLocal: { ceiling } })
  const token = readFileSync(join(gateDirectory, 'gateway-token', 'token'), 'utf8').trim()
  const identity = await openIdentity({ directory })
  const enrolment = await enrollWithOpenClaw({ identity, url: gateway.url, token })
  return { enrolment, identity, store: gateway.store }
}

describe('enrolling at a gateway of ours', () => {
  test('is a plain registration under a ceiling that covers everything', async () => {
    const { enrolment, identity, store } = await enrolUnder(['operator.admin'])
    expect(enrolment).toEqual({ outcome: 'enrolled', proof: 'v3', did: [] })
    expect((await store.listDevices()).items.map(({ deviceId }) => deviceId)).toEqual([identity.id])
  })

  test('under a lower one a person is asked: no other device is made to approve it', async () => {
    const { enrolment, identity, store } = await enrolUnder(['operator.read'])
    const requests = (await store.listRequests()).items
    expect(requests.map(({ deviceId }) => deviceId)).toEqual([identity.id])
    const [request] = requests
    expect(enrolment).toEqual({
      outcome: 'approval-needed',
      requestId: request?.requestId,
      command: expect.stringMatching(new RegExp(`^holdfast approve ${request?.requestId} --state-dir /`)),
      did: [],
    })
    const strangers = (await store.listDevices()).items.filter(({ deviceId }) => deviceId !== identity.id)
    expect(strangers).toEqual([])
  })

  test('C15: of one install they come one after the other, where those of an identity without a place come at once', async () => {
    gateway = await startGateway({ directory: gateDirectory, trustedLocal: { ceiling: ['operator.admin'] } })
    const token = readFileSync(join(gateDirectory, 'gateway-token', 'token'), 'utf8').trim()
    const called: string[] = []
    const relay = await startRelay(gateway.url, method => called.push(method) > 0)
    const enrolFour = async (identityOf: () => Promise<DeviceIdentity>): Promise<readonly string[]> => {
      const identities = await Promise.all([1, 2, 3, 4].map(identityOf))
      await Promise.all(identities.map(identity => enrollWithOpenClaw({ identity, url: relay.url, token })))
      return called.splice(0)
    }
    const inTurn = Array(4).fill(['connect', 'device.pair.list']).flat()
    expect(await enrolFour(() => openIdentity({ directory }))).toEqual(inTurn)
    const inMemory = createEphemeralIdentity()
    const atOnce = await enrolFour(async () => inMemory)
    expect(atOnce.toSorted()).toEqual(inTurn.toSorted())
    expect(atOnce).not.toEqual(inTurn)
    await relay.close()
  })
})
