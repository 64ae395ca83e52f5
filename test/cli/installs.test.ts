import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { childEnvironment, connectToGateway } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { runProgram, startTogether } from '../support/processes.ts'
import { eventually, holdfast, holdfastJson, startGatewayProcess, temporaryFolder } from './holdfast.ts'

const CONNECT = new URL('./programs/connect.ts', import.meta.url)

/** A home of its own, so that the per-user places are this test's. */
function userEnvironment(): Readonly<Record<string, string | undefined>> {
  const home = join(temporaryFolder(), 'home')
  mkdirSync(home)
  return { HOME: home, XDG_DATA_HOME: join(home, 'data'), HOLDFAST_DIR_HOLDFAST: undefined }
}

async function idOf(words: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  const outcome = await holdfast(['id', '--json', ...words], { env })
  return outcome.answer as { readonly deviceId: string; readonly path: string; readonly created: boolean }
}

describe('one install is not another', () => {
  test('F15: apps and profiles have an identity each', async () => {
    const env = userEnvironment()
    const ids = await Promise.all(
      [
        [],
        ['--profile', 'work'],
        ['--profile', 'home'],
        ['--app', 'other'],
        ['--app', 'other', '--profile', 'work'],
      ].map(words => idOf(words, env)),
    )
    expect(new Set(ids.map(({ deviceId }) => deviceId)).size).toBe(5)
    expect(new Set(ids.map(({ path }) => path)).size).toBe(5)
  })

  test('F14: what the command line says beats what the environment says', async () => {
    const env = userEnvironment()
    const inherited = join(temporaryFolder(), 'inherited')
    const chosen = join(temporaryFolder(), 'chosen')
    const handedDown = { ...env, HOLDFAST_DIR_HOLDFAST: inherited }
    expect((await idOf([], handedDown)).path).toBe(join(inherited, 'device', 'key.json'))
    expect((await idOf(['--state-dir', chosen], handedDown)).path).toBe(join(chosen, 'device', 'key.json'))
    const profile = await idOf(['--profile', 'work'], handedDown)
    expect(profile.path).toContain(join('profiles', 'work'))
    expect(profile.path.startsWith(inherited)).toBe(false)
  })

  test('F79: a HOME that is the state directory itself leads to no doubled path', async () => {
    const home = join(temporaryFolder(), 'holdfast')
    mkdirSync(home, { mode: 0o700 })
    const env = { HOME: home, XDG_DATA_HOME: undefined, HOLDFAST_DIR_HOLDFAST: home }
    expect((await idOf([], env)).path).toBe(join(home, 'device', 'key.json'))
  })

  test('F69: a token comes from the state directory or an option, never from the environment', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    await startGatewayProcess(stateDir, '--app', 'subagents')
    const identity = await openIdentity({ app: 'subagents', directory: stateDir })
    const stale = 'a-token-that-a-service-unit-froze'
    const env = {
      ...childEnvironment(identity),
      HOLDFAST_TOKEN: stale,
      HOLDFAST_GATEWAY_TOKEN: stale,
      OPENCLAW_GATEWAY_TOKEN: stale,
    }
    const { answer } = await runProgram(CONNECT, { env, args: ['subagents', 'operator.read'] })
    expect(answer).toMatchObject([{ ok: true }])
  })
})

describe('a token file that an editor touched', () => {
  test('is read alike by the gateway and by its children', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const gateway = await startGatewayProcess(stateDir, '--app', 'subagents')
    const path = join(stateDir, 'gateway-token', 'token')
    writeFileSync(path, `\uFEFF${readFileSync(path, 'utf8')}\r\n\n`, { mode: 0o600 })
    gateway.program.kill('SIGTERM')
    await gateway.program.outcome
    await startGatewayProcess(stateDir, '--app', 'subagents')
    const identity = await openIdentity({ app: 'subagents', directory: stateDir })
    const args = ['subagents', 'operator.read']
    const { answer } = await runProgram(CONNECT, { env: childEnvironment(identity), args })
    expect(answer).toMatchObject([{ ok: true }])
  })
})

describe('one gateway for one state directory', () => {
  test('F59: of many started at once one runs, and the others say where; their clients attach to it', async () => {
    const count = process.env['HOLDFAST_LONG'] === undefined ? 12 : 50
    const stateDir = join(temporaryFolder(), 'state')
    const rivals = await Promise.allSettled(
      Array.from({ length: count }, () => startGatewayProcess(stateDir, '--app', 'subagents')),
    )
    const running = rivals.filter(rival => rival.status === 'fulfilled')
    expect(running).toHaveLength(1)
    const url = running[0]?.value.url
    for (const rival of rivals) {
      if (rival.status === 'rejected') expect(String(rival.reason)).toContain('GATEWAY_RUNNING')
    }
    const late = await holdfast(['gateway', '--state-dir', stateDir, '--json'])
    expect(late.answer).toMatchObject({ error: { code: 'GATEWAY_RUNNING', detail: { url } } })
    const identity = await openIdentity({ app: 'subagents', directory: stateDir })
    const env = childEnvironment(identity)
    const children = await startTogether(CONNECT, 10, () => ({ env, args: ['subagents', 'operator.read'] }))
    expect(children.flatMap(({ answer }) => answer)).toMatchObject(Array(10).fill({ ok: true }))
  })

  test('a note of a gateway that is gone counts as absent: the next gateway starts, and a waiting child finds it', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const first = await startGatewayProcess(stateDir, '--app', 'subagents')
    first.program.kill('SIGKILL')
    await first.program.outcome
    const identity = await openIdentity({ app: 'subagents', directory: stateDir })
    const child = runProgram(CONNECT, {
      env: childEnvironment(identity),
      args: ['subagents', 'operator.read'],
    })
    const second = await startGatewayProcess(stateDir, '--app', 'subagents')
    expect(second.url).not.toBe('')
    expect((await child).answer).toMatchObject([{ ok: true }])
  })
})

describe('what an upgrade changes', () => {
  test('F57 M22: a wider ceiling widens trusted-local devices at once; grants never shrink, whatever connected first', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const identity = await openIdentity({ app: 'subagents', directory: stateDir })
    const env = childEnvironment(identity)
    const connect = async (...wishes: string[]) =>
      (await runProgram(CONNECT, { env, args: ['subagents', ...wishes] })).answer as {
        ok: boolean
        detail?: { requestId: string }
      }[]
    const narrow = await startGatewayProcess(stateDir, '--app', 'subagents', '--ceiling', 'operator.read')
    const [probe, write] = await connect('operator.read', 'operator.write')
    expect([probe?.ok, write?.ok]).toEqual([true, false])
    await holdfastJson(stateDir, 'approve', String(write?.detail?.requestId))
    narrow.program.kill('SIGTERM')
    await narrow.program.outcome

    const wide = await startGatewayProcess(
      stateDir,
      '--app',
      'subagents',
      '--ceiling',
      'operator.read,operator.approvals',
    )
    expect(await connect('operator.approvals', 'operator.write')).toMatchObject([{ ok: true }, { ok: true }])
    wide.program.kill('SIGTERM')
    await wide.program.outcome

    const roles = join(temporaryFolder(), 'roles.json')
    writeFileSync(
      roles,
      JSON.stringify({
        operator: { 'operator.read': [], 'operator.write': ['operator.read'], 'operator.new': [] },
      }),
    )
    await startGatewayProcess(
      stateDir,
      '--app',
      'subagents',
      '--roles',
      roles,
      '--ceiling',
      'operator.read,operator.new',
    )
    expect(await connect('operator.new', 'operator.write')).toMatchObject([{ ok: true }, { ok: true }])
  })

  test('F37: clients of one identity that name platform and family differently are never asked again', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const gateway = await startGatewayProcess(stateDir, '--app', 'subagents')
    const identity = await openIdentity({ app: 'subagents', directory: stateDir })
    const claims = [
      { platform: 'win32', deviceFamily: 'Windows' },
      { platform: 'windows' },
      { platform: ' Linux ', deviceFamily: 'ubuntu' },
      { id: 'cli', mode: 'cli', platform: 'linux' },
    ]
    for (let round = 0; round < 20; round++) {
      const client = claims[round % claims.length]
      const connection = await connectToGateway({
        identity,
        role: 'operator',
        scopes: ['operator.read'],
        client,
      })
      await connection.close()
    }
    await eventually(
      gateway.events,
      events => events.filter(({ event }) => event === 'admitted').length === 20,
    )
    expect(await holdfastJson(stateDir, 'requests')).toMatchObject({ requests: [] })
    expect(await holdfastJson<{ devices: unknown[] }>(stateDir, 'devices')).toMatchObject({ devices: [{}] })
  })
})
