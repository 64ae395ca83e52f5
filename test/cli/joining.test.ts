import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createEphemeralIdentity, formatPublicKey } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { holdfast, holdfastHere, holdfastJson, startGatewayProcess, temporaryFolder } from './holdfast.ts'

/** Hosts: by a code and by a key, so many of each. */
const EACH = 5

interface Devices {
  readonly devices: readonly { readonly deviceId: string; readonly trust: string; readonly roles: unknown }[]
}

describe('hosts where nobody can approve', () => {
  test('F75 H20: 10 of them are let in, half by a join code and half by their key, without a prompt; a code that was spent is refused', async () => {
    const folder = temporaryFolder()
    const stateDir = join(folder, 'gateway')
    const { url, gatewayId } = await startGatewayProcess(stateDir, '--no-local')
    const host = (index: number) => join(folder, `host-${index}`)
    const given = ['--scopes', 'operator.read,operator.write']
    const codes: string[] = []
    for (let index = 0; index < EACH; index += 1) {
      const made = await holdfastJson<{ code: string }>(
        stateDir,
        'invite',
        ...given,
        '--name',
        `host ${index}`,
      )
      codes.push(made.code)
      const { publicKey } = await holdfastJson<{ publicKey: string }>(host(EACH + index), 'id')
      const known = await holdfastJson(stateDir, 'preregister', publicKey, ...given)
      expect(known).toMatchObject({ registered: true, device: { trust: 'approved' } })
    }
    const joinAs = (index: number, input: string) =>
      holdfast(
        [
          ...['join', url, '--gateway-id', gatewayId, '--state-dir', host(index)],
          ...['--scopes', 'operator.write', '--json'],
        ],
        { input },
      )
    const outcomes = await Promise.all(
      Array.from({ length: 2 * EACH }, (_, index) => joinAs(index, codes[index] ?? '')),
    )
    expect(outcomes.map(each => each.exitCode)).toEqual(Array(2 * EACH).fill(0))
    const ids = new Set(outcomes.map(each => (each.answer as { deviceId: string }).deviceId))
    expect(ids.size).toBe(2 * EACH)
    const { devices } = await holdfastJson<Devices>(stateDir, 'devices')
    expect(new Set(devices.map(each => each.deviceId))).toEqual(ids)
    expect(new Set(devices.map(each => each.trust))).toEqual(new Set(['approved']))
    expect(await holdfastJson(stateDir, 'requests')).toMatchObject({ requests: [] })

    const stranger = await joinAs(99, codes[0] ?? '')
    expect(stranger.exitCode).toBe(1)
    // Refused as a code; then its key alone made it ask, as any stranger's does.
    expect(stranger.answer).toMatchObject({
      error: { code: 'ADMISSION_REFUSED', detail: { refusal: 'pairing-required' } },
    })
    expect((await holdfastJson<Devices>(stateDir, 'devices')).devices).toHaveLength(2 * EACH)
    // The host that spent it may be started again with it.
    expect((await joinAs(0, codes[0] ?? '')).exitCode).toBe(0)
    expect(await holdfastJson(stateDir, 'audit', '--verify')).toMatchObject({ intact: true })
    const spent = await holdfastJson<{ entries: unknown[] }>(stateDir, 'audit', '--act', 'join-code-spent')
    expect(spent.entries).toHaveLength(EACH)
  })

  test('a public key that begins with a dash is a public key', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    let key = ''
    while (!key.startsWith('-')) key = formatPublicKey(createEphemeralIdentity().publicKey)
    expect(await holdfastJson(stateDir, 'preregister', key, '--scopes', 'operator.read')).toMatchObject({
      registered: true,
      device: { publicKey: key },
    })
  })

  test('F76: an onboarding without a person registers the command line before the first gateway start, and it is let in', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const { publicKey, deviceId } = await holdfastJson<Record<string, string>>(stateDir, 'id')
    const given = ['--scopes', 'operator.read,operator.pairing', '--name', 'command line']
    await holdfastJson(stateDir, 'preregister', String(publicKey), ...given)
    expect(await holdfastJson(stateDir, 'devices')).toMatchObject({
      devices: [{ deviceId, trust: 'approved', name: 'command line' }],
    })
    const { url } = await startGatewayProcess(stateDir, '--host', '0.0.0.0', '--no-local')
    const scopes = ['--scopes', 'operator.read,operator.pairing']
    const joined = await holdfast(['join', url, '--state-dir', stateDir, ...scopes, '--json'], { input: '' })
    expect(joined).toMatchObject({ exitCode: 0, answer: { deviceId } })
    expect(await holdfastJson(stateDir, 'requests')).toMatchObject({ requests: [] })
    expect((await holdfastJson<Devices>(stateDir, 'devices')).devices).toHaveLength(1)
  })

  test('a join code can be listed and withdrawn, and is good for ten minutes at most', async () => {
    const stateDir = join(temporaryFolder(), 'gateway')
    const { url, gatewayId } = await startGatewayProcess(stateDir, '--no-local')
    const made = await holdfastJson<{ code: string; joinCode: { codeId: string } }>(
      stateDir,
      'invite',
      '--scopes',
      'none',
      '--minutes',
      '1',
    )
    const { codeId } = made.joinCode
    const list = await holdfastHere(['invite', '--list', '--state-dir', stateDir])
    expect(list.stdout).toContain(codeId)
    expect(list.stdout).not.toContain(made.code)
    await holdfastJson(stateDir, 'invite', '--withdraw', codeId)
    const again = await holdfastHere(['invite', '--withdraw', codeId, '--state-dir', stateDir, '--json'])
    expect(again.answer).toMatchObject({ error: { code: 'CODE_UNKNOWN' } })
    const host = join(temporaryFolder(), 'host')
    const words = ['join', url, '--state-dir', host, '--json']
    const refused = await holdfast([...words, '--gateway-id', gatewayId], { input: made.code })
    expect(refused.exitCode).toBe(1)
    const unpinned = await holdfast(words, { input: made.code })
    expect(unpinned.answer).toMatchObject({ error: { code: 'GATEWAY_UNPINNED' } })
    for (const words of [['--minutes', '11', '--scopes', 'none'], []]) {
      expect((await holdfastHere(['invite', ...words, '--state-dir', stateDir])).exitCode).toBe(2)
    }
  })
})

describe('the audit log on the command line', () => {
  test('H22 H21: a leaked gateway token is replaced, and with it goes what it registered; all of it is in the log, which shows when it was touched', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const gateway = await startGatewayProcess(stateDir)
    const { deviceId } = await holdfastJson<{ deviceId: string }>(stateDir, 'id')
    const local = () =>
      holdfast(['join', gateway.url, '--state-dir', stateDir, '--scopes', 'operator.read', '--json'])
    expect((await local()).exitCode).toBe(0)
    const token = () => readFileSync(join(stateDir, 'gateway-token', 'token'), 'utf8')
    const leaked = token()
    const rotated = await holdfastJson(stateDir, 'token', 'rotate', '--revoke-registered')
    expect(rotated).toMatchObject({ revoked: [deviceId] })
    expect(token()).not.toBe(leaked)
    const out = await local()
    expect(out.answer).toMatchObject({
      error: { code: 'ADMISSION_REFUSED', detail: { refusal: 'device-revoked' } },
    })
    const { entries } = await holdfastJson<{ entries: { act: string }[] }>(
      stateDir,
      'audit',
      '--device',
      deviceId,
    )
    expect(entries.map(each => each.act)).toContain('device-revoked')
    expect(await holdfastJson(stateDir, 'audit', '--verify')).toMatchObject({ intact: true, unaudited: 0 })

    gateway.program.kill('SIGTERM')
    await gateway.program.outcome
    const database = new DatabaseSync(join(stateDir, 'store.sqlite'))
    database.exec(`DROP TRIGGER audit_no_update; UPDATE audit SET actor = 'store-writer' WHERE sequence = 3`)
    database.close()
    const broken = await holdfastHere(['audit', '--verify', '--state-dir', stateDir, '--json'])
    expect(broken.exitCode).toBe(1)
    expect(broken.answer).toMatchObject({
      error: { code: 'AUDIT_BROKEN', detail: { sequence: 3, flaw: 'altered' } },
    })
  })
})
