import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTogether } from '../support/processes.ts'
import { createPlainKey, plainAttempt, plainKeyOf } from './plain-client.ts'
import { createRealHome, type RealGateway, type RealHome, startRealGateway } from './real-gateway.ts'
import { booksOf } from './real-pairing.ts'
import { REAL_VERSIONS } from './real-versions.ts'

const CHILDREN = 32
const CHILD = new URL('./programs/four-wishes.ts', import.meta.url)
const ORDERS = ['rwpa', 'aprw', 'wrap', 'pawr', 'arwp', 'prwa', 'rapw', 'wapr']

describe.each(REAL_VERSIONS)('one install at openclaw %s', version => {
  let home: RealHome
  let gateway: RealGateway
  let directory: string
  beforeAll(async () => {
    home = createRealHome()
    gateway = await startRealGateway(version, home)
  })
  afterAll(async () => {
    await gateway?.stop()
    home?.remove()
  })
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-state-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  async function expectAllAdmitted(): Promise<void> {
    const before = await booksOf(gateway)
    const outcomes = await startTogether(CHILD, CHILDREN, index => ({
      args: [directory, gateway.url, home.gatewayToken, ORDERS[index % ORDERS.length] ?? 'rwpa'],
    }))
    const answers = outcomes.map(({ answer, stderr }) => answer ?? stderr)
    const { id } = await openIdentity({ directory })
    expect(answers).toEqual(answers.map(() => ({ deviceId: id, outcome: 'enrolled', admitted: 4 })))
    const after = await booksOf(gateway)
    expect(after.paired.toSorted()).toEqual([...new Set([...before.paired, id])].toSorted())
    expect(after.pending).toEqual([])
  }

  test('32 children of a fresh install, each in its own order: 128 admitted, 1 device, no request', async () => {
    await expectAllAdmitted()
  })

  test('the same from an install that was stuck', async () => {
    await openIdentity({ directory })
    const key = plainKeyOf(directory)
    const wish = { url: gateway.url, token: home.gatewayToken }
    expect((await plainAttempt(key, { ...wish, scopes: ['operator.read'] })).ok).toBe(true)
    const write = await plainAttempt(key, { ...wish, scopes: ['operator.read', 'operator.write'] })
    expect(write.ok).toBe(version === '2026.9.6')
    await expectAllAdmitted()
  })

  test('an install with a request that lies about is freed, and says what was done', async () => {
    const identity = await openIdentity({ directory })
    const wish = { url: gateway.url, token: home.gatewayToken, scopes: ['operator.read'] }
    // What comes through a browser or a proxy is never let in silently, and neither is what comes after it.
    const headers =
      version === '2026.2.21'
        ? { 'X-Forwarded-For': '203.0.113.9' }
        : { Origin: `http://127.0.0.1:${gateway.port}` }
    const held = await plainAttempt(plainKeyOf(directory), { ...wish, headers })
    expect(held.ok).toBe(false)
    expect((await booksOf(gateway)).pending).toEqual([identity.id])
    const before = await booksOf(gateway)
    const enrolment = await enrollWithOpenClaw({ identity, url: gateway.url, token: home.gatewayToken })
    expect(enrolment.outcome).toBe('enrolled')
    expect(enrolment.did.map(({ act }) => act)).not.toEqual([])
    const after = await booksOf(gateway)
    expect(after).toEqual({ paired: expect.arrayContaining([...before.paired, identity.id]), pending: [] })
    expect(after.paired).toHaveLength(before.paired.length + 1)
    expect((await plainAttempt(plainKeyOf(directory), wish)).ok).toBe(true)
  })

  test('enrolling again changes nothing, and a wrong token is said, not cured', async () => {
    const identity = await openIdentity({ directory })
    const options = { identity, url: gateway.url, token: home.gatewayToken }
    await enrollWithOpenClaw(options)
    expect(await enrollWithOpenClaw(options)).toMatchObject({ outcome: 'enrolled', did: [] })
    const wrong = enrollWithOpenClaw({ ...options, identity, token: 'wrong-token' })
    // The device is known, so that its key is enough where the gateway allows that; no gateway of OpenClaw's does.
    await expect(wrong).rejects.toMatchObject({ code: 'ADMISSION_REFUSED' })
    expect(
      (await plainAttempt(createPlainKey(), { url: gateway.url, token: 'wrong-token', scopes: [] })).ok,
    ).toBe(false)
  })
})
