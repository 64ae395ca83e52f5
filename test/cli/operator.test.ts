import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { childEnvironment } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { runProgram, startProgram } from '../support/processes.ts'
import {
  eventually,
  holdfast,
  holdfastHere,
  holdfastJson,
  runShell,
  startGatewayProcess,
  temporaryFolder,
} from './holdfast.ts'

const CONNECT = new URL('./programs/connect.ts', import.meta.url)
const STAY = new URL('./programs/stay.ts', import.meta.url)

interface Answer {
  readonly ok: boolean
  readonly code?: string
  readonly detail?: Readonly<Record<string, unknown>>
}

async function install() {
  const stateDir = join(temporaryFolder(), 'state')
  const gateway = await startGatewayProcess(stateDir, '--app', 'subagents')
  const identity = await openIdentity({ app: 'subagents', directory: stateDir })
  const env = childEnvironment(identity)
  const connect = async (...wishes: string[]): Promise<Answer[]> =>
    (await runProgram(CONNECT, { env, args: ['subagents', ...wishes] })).answer as Answer[]
  return { stateDir, gateway, identity, env, connect }
}

describe('a child that asks for more than the ceiling', () => {
  test('F74 F48 C2: it is told the request, what it lacks and the command; approving cures it with the gateway running, and siblings never notice', async () => {
    const { stateDir, gateway, connect } = await install()
    const [read, admin] = await connect('operator.read', 'operator.admin')
    expect(read).toMatchObject({ ok: true })
    expect(admin).toMatchObject({
      ok: false,
      code: 'ADMISSION_REFUSED',
      detail: {
        refusal: 'pairing-required',
        code: 'PAIRING_REQUIRED',
        rule: '12',
        missing: ['operator.admin'],
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      },
    })
    const requestId = String(admin?.detail?.['requestId'])
    expect(admin?.detail?.['command']).toContain(`holdfast approve ${requestId}`)
    const { requests } = await holdfastJson<{ requests: unknown[] }>(stateDir, 'requests')
    expect(requests).toMatchObject([{ requestId, role: 'operator', scopes: ['operator.admin'] }])
    expect(await connect('operator.write')).toMatchObject([{ ok: true }])

    const approved = await holdfastJson<Record<string, unknown>>(stateDir, 'approve', requestId)
    expect(approved).toMatchObject({ approved: { requestId }, device: { trust: 'trusted-local' } })
    expect(await connect('operator.admin', 'operator.read')).toMatchObject([{ ok: true }, { ok: true }])
    expect(gateway.program.process.exitCode).toBeNull()
    expect(await holdfastJson(stateDir, 'requests')).toMatchObject({ requests: [] })
  })

  test('F72: approving works with the gateway stopped', async () => {
    const { stateDir, gateway, connect } = await install()
    const [admin] = await connect('operator.admin')
    gateway.program.kill('SIGTERM')
    expect((await gateway.program.outcome).exitCode).toBe(0)
    await holdfastJson(stateDir, 'approve', String(admin?.detail?.['requestId']))
    await startGatewayProcess(stateDir, '--app', 'subagents')
    expect(await connect('operator.admin')).toMatchObject([{ ok: true }])
  })

  test('C8 F73: a prefix of a request id, or "latest", approves nothing; no attempt to approve dials the gateway or replaces the request', async () => {
    const { stateDir, gateway, connect } = await install()
    const [admin] = await connect('operator.admin')
    const requestId = String(admin?.detail?.['requestId'])
    for (const word of [requestId.slice(0, 8), 'latest', '__proto__']) {
      const outcome = await holdfastHere(['approve', word, '--state-dir', stateDir, '--json'])
      expect(outcome.exitCode).toBe(1)
      expect(outcome.answer).toMatchObject({ error: { code: 'REQUEST_UNKNOWN' } })
    }
    const changed = await holdfastHere([
      'approve',
      requestId,
      '--digest',
      '0'.repeat(64),
      '--state-dir',
      stateDir,
      '--json',
    ])
    expect(changed.answer).toMatchObject({ error: { code: 'REQUEST_CHANGED' } })
    expect(gateway.events().filter(({ event }) => event !== 'closed')).toMatchObject([
      { event: 'request' },
      { event: 'refused', refusal: 'pairing-required' },
    ])
    expect(await holdfastJson(stateDir, 'requests')).toMatchObject({ requests: [{ requestId }] })
    await holdfastJson(stateDir, 'approve', requestId)
    expect(await connect('operator.admin')).toMatchObject([{ ok: true }])
  })

  test('a rejected request is gone, and the device stays as it was', async () => {
    const { stateDir, connect } = await install()
    const [admin] = await connect('operator.admin')
    await holdfastJson(stateDir, 'reject', String(admin?.detail?.['requestId']))
    expect(await holdfastJson(stateDir, 'requests')).toMatchObject({ requests: [] })
    expect(await connect('operator.read')).toMatchObject([{ ok: true }])
  })
})

describe('a revoked device', () => {
  test('C1 H1: it is cut with 4001 and stays out, whatever token it shows, until it is reinstated', async () => {
    const { stateDir, gateway, identity, env, connect } = await install()
    const live = startProgram(STAY, { env, args: ['subagents'] })
    await eventually(gateway.events, events => events.some(({ event }) => event === 'admitted'))
    await holdfastJson(stateDir, 'revoke', identity.id)
    const { answer } = await live.outcome
    expect(answer).toMatchObject({ kind: 'closed', code: 4001 })

    for (let round = 0; round < 3; round++) {
      expect(await connect('operator.read')).toMatchObject([
        { ok: false, code: 'ADMISSION_REFUSED', detail: { refusal: 'device-revoked', rule: '8' } },
      ])
    }
    await holdfastJson(stateDir, 'token', 'rotate')
    expect(await connect('operator.read')).toMatchObject([
      { ok: false, detail: { refusal: 'device-revoked' } },
    ])
    expect(await holdfastJson(stateDir, 'devices')).toMatchObject({ devices: [{ trust: 'revoked' }] })

    await holdfastJson(stateDir, 'reinstate', identity.id)
    expect(await connect('operator.read')).toMatchObject([{ ok: true }])
  })

  test('C1: its machine cannot slip back in under a new key, until the token is rotated', async () => {
    const { stateDir, gateway, identity, connect } = await install()
    await connect('operator.read')
    await holdfastJson(stateDir, 'revoke', identity.id)
    const newcomer = new URL('./programs/connect-with-own-key.ts', import.meta.url)
    const args = [gateway.url, join(stateDir, 'gateway-token', 'token')]
    expect((await runProgram(newcomer, { args })).exitCode).not.toBe(0)
    await holdfastJson(stateDir, 'token', 'rotate')
    expect((await runProgram(newcomer, { args })).exitCode).toBe(0)
  })
})

describe('narrowing and rotating', () => {
  test('a narrowed device has less than the ceiling at once', async () => {
    const { stateDir, identity, connect } = await install()
    await connect('operator.write')
    await holdfastJson(stateDir, 'narrow', identity.id, '--role', 'operator', '--scopes', 'operator.read')
    expect(await connect('operator.read', 'operator.write')).toMatchObject([
      { ok: true },
      { ok: false, detail: { refusal: 'pairing-required', missing: ['operator.write'] } },
    ])
  })

  test('H21 F58: a rotated token closes what showed the old one, which comes back by itself', async () => {
    const { stateDir, gateway, env } = await install()
    const live = startProgram(STAY, { env, args: ['subagents'] })
    await eventually(gateway.events, events => events.some(({ event }) => event === 'admitted'))
    await holdfastJson(stateDir, 'token', 'rotate')
    await eventually(
      gateway.events,
      events => events.filter(({ event }) => event === 'admitted').length === 2,
    )
    expect(gateway.events()).toContainEqual(
      expect.objectContaining({ event: 'closed', cut: 'token-rotated' }),
    )
    live.kill()
  })
})

describe('the command line', () => {
  test('its README shows an example that runs', async () => {
    const sample = readFileSync(new URL('../samples/holdfast.sh', import.meta.url), 'utf8')
    const readme = readFileSync(new URL('../../packages/cli/README.md', import.meta.url), 'utf8')
    expect(readme).toContain(sample)
    const outcome = await runShell(sample, temporaryFolder())
    expect(outcome.stderr).not.toContain('holdfast: ')
    expect(outcome.stdout).toContain('1 device · 8 connections admitted · 0 refused · 0 prompts')
    expect(outcome.exitCode).toBe(0)
  })

  test('its README names every command and every code that it has', async () => {
    const readme = readFileSync(new URL('../../packages/cli/README.md', import.meta.url), 'utf8')
    const errors = readFileSync(new URL('../../packages/cli/src/errors.ts', import.meta.url), 'utf8')
    const codes = [...errors.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, code]) => code)
    expect(codes.length).toBeGreaterThan(10)
    for (const code of codes) expect(readme).toContain(`\`${code}\``)
    const { stdout } = await holdfastHere(['--help'])
    const commands = [...stdout.matchAll(/^ {2}([a-z-]+) /gm)]
      .map(([, command]) => command)
      .filter(command => command !== 'help')
    expect(commands).toContain('approve')
    for (const command of commands) expect(readme).toMatch(new RegExp(`holdfast ${command}\\b`))
  })

  test('exit codes: 0 for help, 1 for a failure, 2 for wrong usage', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const codes = await Promise.all(
      [
        ['--help'],
        ['devices', '--help'],
        ['devices', '--state-dir', stateDir],
        ['nonsense'],
        ['approve'],
        ['gateway', '--port', 'x'],
        [],
      ].map(async words => (await holdfast(words)).exitCode),
    )
    expect(codes).toEqual([0, 0, 1, 2, 2, 2, 2])
  })

  test('looking for a store makes none', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    for (const command of ['requests', 'devices']) {
      const outcome = await holdfastHere([command, '--state-dir', stateDir, '--json'])
      expect(outcome.answer).toMatchObject({ error: { code: 'STORE_MISSING' } })
    }
    expect(existsSync(stateDir)).toBe(false)
  })

  test('id makes the identity once, and shows the same one afterwards', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const first = await holdfastJson<Record<string, unknown>>(stateDir, 'id')
    const second = await holdfastJson<Record<string, unknown>>(stateDir, 'id')
    expect(first).toMatchObject({ created: true, deviceId: expect.stringMatching(/^[0-9a-f]{64}$/) })
    expect(second).toEqual({ ...first, created: false })
    expect(Object.keys(first).sort()).toEqual(['created', 'createdAtMs', 'deviceId', 'path', 'publicKey'])
  })

  test('a second gateway on one state directory says where the first one is', async () => {
    const { stateDir, gateway } = await install()
    const second = await holdfast(['gateway', '--state-dir', stateDir, '--json'])
    expect(second.exitCode).toBe(1)
    expect(second.answer).toMatchObject({
      error: { code: 'GATEWAY_RUNNING', detail: { url: gateway.url, pid: gateway.program.process.pid } },
    })
  })
})

describe('words that are wrong', () => {
  test('an empty directory or store, as an unset variable makes it, touches nothing', async () => {
    const folder = temporaryFolder()
    for (const words of [
      ['id', '--state-dir', ''],
      ['devices', '--store', ''],
      ['devices', '--store', 'postgres://user:secret@host/db'],
      ['narrow', 'a'.repeat(64), '--role', 'operator', '--scopes', ''],
    ]) {
      const outcome = await holdfast([...words, '--json'], { cwd: folder, env: { HOME: folder } })
      expect(outcome.exitCode, words.join(' ')).toBe(2)
      expect(outcome.answer).toMatchObject({ error: { code: 'USAGE' } })
      expect(outcome.stdout).not.toContain('secret')
    }
    expect(readdirSync(folder)).toEqual([])
  })

  test('with --json wrong usage is one document on standard output, too', async () => {
    for (const words of [['nonsense'], ['devices', '--nonsense'], ['gateway', '--port', 'x'], ['approve']]) {
      const outcome = await holdfastHere([...words, '--json'])
      expect(outcome).toMatchObject({ exitCode: 2, stderr: '' })
      expect(JSON.parse(outcome.stdout)).toMatchObject({
        error: { code: 'USAGE', detail: { reason: expect.any(String) } },
      })
    }
    expect((await holdfastHere(['id', '--app', 'No App', '--json'])).exitCode).toBe(2)
  })

  test('a cursor that is none, a role that is none: said by code', async () => {
    const { stateDir, identity, connect } = await install()
    await connect('operator.read')
    for (const command of ['devices', 'requests']) {
      const outcome = await holdfastHere([command, '--after', 'zz', '--state-dir', stateDir, '--json'])
      expect(outcome.answer).toMatchObject({ error: { code: 'USAGE' } })
    }
    const revoke = await holdfastHere([
      'revoke',
      identity.id,
      '--role',
      'bogus',
      '--state-dir',
      stateDir,
      '--json',
    ])
    expect(revoke.answer).toMatchObject({ error: { code: 'ROLE_UNKNOWN', detail: { role: 'bogus' } } })
  })

  test('--version and help say what they should', async () => {
    expect((await holdfastHere(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    expect((await holdfastHere(['help', 'approve'])).stdout).toContain('--digest')
  })
})

describe('what is printed works as it is', () => {
  test('the command that a child is told approves its request, with a store elsewhere', async () => {
    const folder = temporaryFolder()
    const stateDir = join(folder, "it's a state")
    const elsewhere = join(folder, 'elsewhere')
    mkdirSync(elsewhere, { mode: 0o700 })
    await startGatewayProcess(stateDir, '--app', 'subagents', '--store', join(elsewhere, 'pairing.sqlite'))
    const identity = await openIdentity({ app: 'subagents', directory: stateDir })
    const env = childEnvironment(identity)
    const ask = async (): Promise<Answer | undefined> =>
      ((await runProgram(CONNECT, { env, args: ['subagents', 'operator.admin'] })).answer as Answer[])[0]
    const command = String((await ask())?.detail?.['command'])
    expect(await runShell(command, folder)).toMatchObject({ exitCode: 0 })
    expect(await ask()).toMatchObject({ ok: true })
  })

  test('a gateway whose reader leaves goes on', async () => {
    const { stateDir, gateway, identity, connect } = await install()
    gateway.program.process.stdout?.destroy()
    await connect('operator.read', 'operator.admin')
    await holdfastJson(stateDir, 'revoke', identity.id)
    expect(await connect('operator.read')).toMatchObject([
      { ok: false, detail: { refusal: 'device-revoked' } },
    ])
    expect(gateway.program.process.exitCode).toBeNull()
  })

  test('token rotate, many at once, leaves the token of the file as the current one', async () => {
    const { stateDir, connect, gateway } = await install()
    await Promise.all(Array.from({ length: 6 }, () => holdfastJson(stateDir, 'token', 'rotate')))
    const newcomer = new URL('./programs/connect-with-own-key.ts', import.meta.url)
    const args = [gateway.url, join(stateDir, 'gateway-token', 'token')]
    expect((await runProgram(newcomer, { args })).exitCode).toBe(0)
    expect(await connect('operator.read')).toMatchObject([{ ok: true }])
  })
})
