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

  async function enrolledProof(identity: DeviceIdentity, { url }: RealGateway): Promise<'v2' | 'v3'> {
    const enrolment = await enrollWithOpenClaw({ identity, url, token: home.gatewayToken })
    expect(enrolment).toMatchObject({ outcome: 'enrolled', did: [] })
    return enrolment.outcome === 'enrolled' ? enrolment.proof : 'v3'
  }

  async function expectKnown(
    identity: DeviceIdentity,
    gateway: RealGateway,
    proof: 'v2' | 'v3',
  ): Promise<void> {
    const target = { url: gateway.url, token: home.gatewayToken, proof }
    expect((await openIdentity({ directory })).id).toBe(identity.id)
    expect(await connectForEach('rwpa', identity, target)).toBe(4)
    expect(await booksOf(gateway)).toEqual({ paired: [identity.id], pending: [] })
  }

  test.each(REAL_VERSIONS)('after openclaw %s was stopped and started', async version => {
    const identity = await openIdentity({ directory })
    const first = await startAgain(version)
    const proof = await enrolledProof(identity, first)
    await expectKnown(identity, first, proof)
    // Without enrolling again: what the gateway keeps is enough.
    await expectKnown(identity, await startAgain(version), proof)
  })

  test('after a state directory of 2026.4.8 was upgraded to 2026.9.6', async () => {
    const identity = await openIdentity({ directory })
    const old = await startAgain('2026.4.8')
    const proof = await enrolledProof(identity, old)
    await expectKnown(identity, old, proof)
    const upgraded = await startAgain('2026.9.6')
    await expectKnown(identity, upgraded, proof)
    await enrolledProof(identity, upgraded)
    await expectKnown(identity, upgraded, proof)
  })
})
