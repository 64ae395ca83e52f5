import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { childEnvironment } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { runProgram, startTogether } from '../support/processes.ts'
import { holdfastJson, startGatewayProcess, temporaryFolder } from './holdfast.ts'

const CONNECT = new URL('./programs/connect.ts', import.meta.url)
const SCOPES = ['operator.read', 'operator.write', 'operator.approvals', 'operator.admin']

interface Answer {
  readonly ok: boolean
  readonly deviceId?: string
  readonly connectionId?: string
  readonly code?: string
  readonly detail?: Readonly<Record<string, unknown>>
}
interface Devices {
  readonly devices: readonly { readonly deviceId: string; readonly trust: string }[]
}
interface Requests {
  readonly requests: readonly unknown[]
}

/** An order of its own for each child: a seeded shuffle, so that a failure can be run again. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed * 2_654_435_761 + 1
  const order = [...items]
  for (let at = order.length - 1; at > 0; at--) {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    const other = Math.floor((state / 2 ** 32) * (at + 1))
    const [left, right] = [order[at], order[other]]
    if (left === undefined || right === undefined) continue
    order[at] = right
    order[other] = left
  }
  return order
}

async function install(...gatewayWords: readonly string[]) {
  const stateDir = join(temporaryFolder(), 'state')
  const gateway = await startGatewayProcess(stateDir, '--app', 'subagents', ...gatewayWords)
  const identity = await openIdentity({ app: 'subagents', directory: stateDir })
  return { stateDir, gateway, identity, env: childEnvironment(identity) }
}

describe('children of one install', () => {
  test('F54 F05: 100 children ask for read, write, approvals and admin in shuffled order: all are admitted, one trusted-local device, no request', async () => {
    const { stateDir, gateway, identity, env } = await install('--ceiling', 'operator.admin')
    const outcomes = await startTogether(CONNECT, 100, index => ({
      env,
      args: ['subagents', ...shuffled(SCOPES, index)],
    }))
    const answers = outcomes.flatMap(({ answer }) => answer as Answer[])
    expect(answers.filter(({ ok }) => !ok)).toEqual([])
    expect(answers).toHaveLength(400)
    expect(new Set(answers.map(({ deviceId }) => deviceId))).toEqual(new Set([identity.id]))
    expect(new Set(answers.map(({ connectionId }) => connectionId)).size).toBe(400)
    const { devices } = await holdfastJson<Devices>(stateDir, 'devices')
    expect(devices).toMatchObject([{ deviceId: identity.id, trust: 'trusted-local' }])
    expect(await holdfastJson<Requests>(stateDir, 'requests')).toMatchObject({ requests: [] })
    expect(gateway.events().filter(({ event }) => event === 'refused' || event === 'request')).toEqual([])
  })

  test('F55: 20 first connections at once on a fresh install make one record', async () => {
    const { stateDir, env } = await install('--ceiling', 'operator.admin')
    const outcomes = await startTogether(CONNECT, 20, () => ({ env, args: ['subagents', 'operator.write'] }))
    expect(outcomes.flatMap(({ answer }) => answer as Answer[]).map(({ ok }) => ok)).toEqual(
      Array(20).fill(true),
    )
    expect((await holdfastJson<Devices>(stateDir, 'devices')).devices).toHaveLength(1)
  })

  test('F55 F68: with a wrong token 20 children get 20 typed refusals, and nothing is stored', async () => {
    const { stateDir, env } = await install('--ceiling', 'operator.admin')
    const wrong = { ...env, TEST_GATEWAY_TOKEN: 'not-the-token-of-this-gateway-at-all' }
    const outcomes = await startTogether(CONNECT, 20, () => ({
      env: wrong,
      args: ['subagents', 'operator.read'],
    }))
    const answers = outcomes.flatMap(({ answer }) => answer as Answer[])
    expect(answers).toHaveLength(20)
    for (const answer of answers) {
      expect(answer).toMatchObject({
        ok: false,
        code: 'ADMISSION_REFUSED',
        detail: { refusal: 'token-mismatch', code: 'AUTH_TOKEN_MISMATCH', rule: '3' },
      })
    }
    expect((await holdfastJson<Devices>(stateDir, 'devices')).devices).toEqual([])
    expect(await holdfastJson<Requests>(stateDir, 'requests')).toMatchObject({ requests: [] })

    // F68: once the device is known, its key makes up for a wrong token.
    for (const [at, childEnv] of [env, wrong].entries()) {
      const { answer } = await runProgram(CONNECT, { env: childEnv, args: ['subagents', 'operator.read'] })
      expect(answer, String(at)).toMatchObject([{ ok: true }])
    }
  })

  test('negative control: children that make a key each are a device each', async () => {
    const { stateDir, gateway } = await install('--ceiling', 'operator.admin')
    const token = join(stateDir, 'gateway-token', 'token')
    const program = new URL('./programs/connect-with-own-key.ts', import.meta.url)
    const outcomes = await startTogether(program, 5, () => ({ args: [gateway.url, token] }))
    expect(outcomes.map(({ answer }) => answer)).toEqual(Array(5).fill({ ok: true }))
    expect((await holdfastJson<Devices>(stateDir, 'devices')).devices).toHaveLength(5)
  })
})
