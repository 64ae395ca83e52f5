import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { childEnvironment } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { startProgram } from '../support/processes.ts'
import { eventually, holdfast, holdfastJson, startGatewayProcess, temporaryFolder } from './holdfast.ts'

interface Known {
  readonly deviceId: string
  readonly createdAtMs: number
}

const STAY = new URL('./programs/stay.ts', import.meta.url)

describe('the main job', () => {
  test('F13: one device, every connection admitted, no prompt; the second run reuses the identity; nothing outside the state directory', async () => {
    const folder = temporaryFolder()
    const home = join(folder, 'home')
    mkdirSync(home)
    const stateDir = join(folder, 'state')
    const env = {
      HOME: home,
      XDG_DATA_HOME: undefined,
      XDG_CACHE_HOME: undefined,
      NODE_COMPILE_CACHE: undefined,
    }
    const run = () => holdfast(['demo', '--children', '6', '--state-dir', stateDir], { env })
    const first = await run()
    expect(first.stdout.trimEnd().split('\n').at(-1)).toBe(
      '1 device · 24 connections admitted · 0 refused · 0 prompts',
    )
    expect(first.exitCode).toBe(0)
    expect(first.stdout).toContain('created now')
    const second = await run()
    expect(second.exitCode).toBe(0)
    expect(second.stdout).toContain('reused since')
    expect(readdirSync(home)).toEqual([])
  })

  test('--json says the same in one object, and --fresh leaves nothing behind', async () => {
    const folder = temporaryFolder()
    const outcome = await holdfast(['demo', '--children', '2', '--fresh', '--json'], {
      env: { TMPDIR: folder },
    })
    expect(outcome.answer).toMatchObject({
      devices: 1,
      admitted: 8,
      refused: 0,
      prompts: 0,
      byRule: { 10: 8 },
    })
    expect(readdirSync(folder)).toEqual([])
  })

  test('--own-keys shows the world without it: a device id a child, and nobody is let in', async () => {
    const outcome = await holdfast(['demo', '--children', '5', '--own-keys'])
    expect(outcome.stdout.trimEnd().split('\n').at(-1)).toBe('5 device ids · 0 admitted · 5 pairing-required')
    expect(outcome.exitCode).toBe(0)
  })

  test('F43: a gateway that is killed in the middle of it loses no acknowledged record', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const gateway = await startGatewayProcess(
      stateDir,
      '--app',
      'holdfast-demo',
      '--ceiling',
      'operator.admin',
    )
    const demo = holdfast(['demo', '--children', '8', '--state-dir', stateDir])
    await eventually(gateway.events, events => events.some(({ event }) => event === 'admitted'))
    const known = async () => (await holdfastJson<{ devices: Known[] }>(stateDir, 'devices')).devices
    const [before] = await known()
    // Two records that were acknowledged just before, which no child would make again.
    await holdfastJson(stateDir, 'rename', String(before?.deviceId), 'kept')
    const code = await holdfastJson<{ joinCode: { codeId: string } }>(stateDir, 'invite', '--scopes', 'none')
    gateway.program.kill('SIGKILL')
    await gateway.program.outcome
    const identity = await openIdentity({ app: 'holdfast-demo', directory: stateDir })
    expect(identity.created).toBe(false)
    await startGatewayProcess(stateDir, '--app', 'holdfast-demo', '--ceiling', 'operator.admin')
    // The children wait for the gateway to come back, so that the demonstration ends as if nothing had been.
    expect((await demo).exitCode).toBe(0)
    expect(await known()).toMatchObject([
      { deviceId: identity.id, trust: 'trusted-local', name: 'kept', createdAtMs: before?.createdAtMs },
    ])
    expect(JSON.stringify(await holdfastJson(stateDir, 'invite', '--list'))).toContain(code.joinCode.codeId)
    expect(await holdfastJson(stateDir, 'audit', '--verify')).toMatchObject({ intact: true })
  })

  test('F58: 20 connected children come back by themselves when the gateway was killed, with no new request', async () => {
    const stateDir = join(temporaryFolder(), 'state')
    const first = await startGatewayProcess(stateDir, '--app', 'subagents')
    const identity = await openIdentity({ app: 'subagents', directory: stateDir })
    const env = childEnvironment(identity)
    const children = Array.from({ length: 20 }, () => startProgram(STAY, { env, args: ['subagents'] }))
    const admitted = (events: readonly Readonly<Record<string, unknown>>[]) =>
      events.filter(({ event }) => event === 'admitted').length
    await eventually(first.events, events => admitted(events) === 20)
    first.program.kill('SIGKILL')
    await first.program.outcome
    const second = await startGatewayProcess(stateDir, '--app', 'subagents')
    await eventually(second.events, events => admitted(events) === 20)
    expect(second.events().filter(({ event }) => event === 'refused' || event === 'request')).toEqual([])
    for (const child of children) child.kill()
  })
})
