import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { childEnvironment } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { holdfast, holdfastJson, startGatewayProcess, temporaryFolder } from './holdfast.ts'

const CONNECT = new URL('./programs/connect.ts', import.meta.url)

interface Stage {
  readonly stateDir: string
  readonly copy: string
  readonly deviceId: string
  start(): Promise<{ stop(): Promise<unknown> }>
  /** What a child of the install is told: `admitted`, or why not. */
  connect(): Promise<string>
  refused(...words: readonly string[]): Promise<{ code: string; detail: Record<string, unknown> }>
}

async function stage(): Promise<Stage> {
  const folder = temporaryFolder()
  const stateDir = join(folder, 'state')
  const identity = await openIdentity({ app: 'subagents', directory: stateDir })
  const env = childEnvironment(identity)
  return {
    stateDir,
    copy: join(folder, 'copy.sqlite'),
    deviceId: identity.id,
    start: async () => {
      const { program } = await startGatewayProcess(stateDir, '--app', 'subagents')
      return {
        stop: () => {
          program.process.kill('SIGTERM')
          return program.outcome
        },
      }
    },
    connect: async () => {
      const { answer } = await runProgram(CONNECT, { env, args: ['subagents', 'operator.read'] })
      const [said] = answer as { ok: boolean; detail?: { refusal?: string } }[]
      return said?.ok === true ? 'admitted' : String(said?.detail?.refusal)
    },
    refused: async (...words) => {
      const outcome = await holdfast([...words, '--state-dir', stateDir, '--json'])
      expect(outcome.exitCode).toBe(1)
      return (outcome.answer as { error: { code: string; detail: Record<string, unknown> } }).error
    },
  }
}

describe('holdfast store', () => {
  test('C1: a backup of a running gateway is not restored under it, and revives nobody who was revoked since', async () => {
    const { stateDir, copy, deviceId, start, connect, refused } = await stage()
    const gateway = await start()
    expect(await connect()).toBe('admitted')
    expect(await holdfastJson(stateDir, 'store', 'backup', copy)).toMatchObject({
      backup: { path: copy, devices: 1, withoutSecrets: false },
    })
    expect(statSync(copy).mode & 0o777).toBe(0o600)
    await holdfastJson(stateDir, 'revoke', deviceId)
    expect(await refused('store', 'restore', copy)).toMatchObject({ code: 'GATEWAY_RUNNING' })
    expect(await refused('store', 'backup', copy)).toMatchObject({ code: 'STORE_COPY_EXISTS' })
    await gateway.stop()
    expect(await holdfastJson(stateDir, 'store', 'restore', copy)).toMatchObject({
      restored: { outcome: 'merged', kept: 1, from: copy },
    })
    expect(await holdfastJson(stateDir, 'store', 'verify')).toMatchObject({ intact: true, devices: 1 })
    await start()
    expect(await connect()).toBe('device-revoked')
  })

  test('C1 H22: where the store is lost, it comes back under a new token only, and holds everybody back', async () => {
    const { stateDir, copy, deviceId, start, connect, refused } = await stage()
    const gateway = await start()
    expect(await connect()).toBe('admitted')
    await holdfastJson(stateDir, 'store', 'backup', copy)
    await holdfastJson(stateDir, 'rename', deviceId, 'after the backup')
    await gateway.stop()
    const tokenFile = join(stateDir, 'gateway-token', 'token')
    const before = readFileSync(tokenFile, 'utf8')
    writeFileSync(join(stateDir, 'store.sqlite'), 'lost '.repeat(100))
    expect(await refused('store', 'verify')).toMatchObject({ code: 'STORE_NOT_A_DATABASE' })
    expect(await refused('store', 'restore', copy)).toMatchObject({
      code: 'STORE_TOKEN_DEMANDED',
      detail: { reason: 'unreadable' },
    })
    expect(readFileSync(tokenFile, 'utf8')).toBe(before)
    const words = ['store', 'restore', '--new-token', copy]
    expect(await holdfastJson(stateDir, ...words)).toMatchObject({ restored: { outcome: 'placed', held: 1 } })
    expect(readFileSync(tokenFile, 'utf8')).not.toBe(before)
    // The gateway goes on from the head that was kept for it: it starts, and knows that this was done on purpose.
    await start()
    expect(await connect()).toBe('device-revoked')
    expect(await holdfastJson(stateDir, 'audit', '--act', 'store-restored')).toMatchObject({
      entries: [
        { by: 'store-writer', from: { unknown: 'unreadable', keptHead: { sequence: expect.any(Number) } } },
      ],
    })
    expect(await holdfastJson(stateDir, 'audit', '--verify')).toMatchObject({ intact: true })
    await holdfastJson(stateDir, 'reinstate', deviceId)
    expect(await connect()).toBe('admitted')
  })
})
