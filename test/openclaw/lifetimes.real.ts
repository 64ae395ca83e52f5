import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createRealHome, type RealGateway, type RealHome, startRealGateway } from './real-gateway.ts'
import { booksOf } from './real-pairing.ts'
import { REAL_VERSIONS, type RealVersion } from './real-versions.ts'
import { connectForEach } from './wishes.ts'

describe('the same device, without a prompt', () => {
  let home: RealHome
  let directory: string
  let running: RealGateway | null
  beforeEach(() => {
    home = createRealHome()
    directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-state-'))
    running = null
  })
  afterEach(async () => {
    await running?.stop()
    home.remove()
    rmSync(directory, { recursive: true, force: true })
  })

  async function startAgain(version: RealVersion): Promise<RealGateway> {
    const port = running?.port
    await running?.stop()
    running = await startRealGateway(version, home, port === undefined ? {} : { port })
    return running
  }

  async function expectEnrolled(identity: DeviceIdentity, { url, version }: RealGateway): Promise<void> {
    const enrolment = await enrollWithOpenClaw({ identity, url, token: home.gatewayToken })
    const proof = version === '2026.2.21' ? 'v2' : 'v3'
    expect(enrolment).toEqual({ outcome: 'enrolled', proof, did: [] })
  }

  async function expectKnown(identity: DeviceIdentity, gateway: RealGateway): Promise<void> {
    const target = { url: gateway.url, token: home.gatewayToken }
    expect((await openIdentity({ directory })).id).toBe(identity.id)
    expect(await connectForEach('rwpa', identity, target)).toBe(4)
    expect(await booksOf(gateway)).toEqual({ paired: [identity.id], pending: [] })
  }

  test.each(REAL_VERSIONS)('after openclaw %s was stopped and started', async version => {
    const identity = await openIdentity({ directory })
    const first = await startAgain(version)
    await expectEnrolled(identity, first)
    await expectKnown(identity, first)
    // Without enrolling again: what the gateway keeps is enough.
    await expectKnown(identity, await startAgain(version))
  })

  test('after a state directory of 2026.4.8 was upgraded to 2026.9.6', async () => {
    const identity = await openIdentity({ directory })
    const old = await startAgain('2026.4.8')
    await expectEnrolled(identity, old)
    await expectKnown(identity, old)
    const upgraded = await startAgain('2026.9.6')
    await expectKnown(identity, upgraded)
    await expectEnrolled(identity, upgraded)
    await expectKnown(identity, upgraded)
  })
})
