import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Outcome, runProgram } from '../support/processes.ts'
import { plainAttempt, plainKeyOf } from './plain-client.ts'
import {
  createRealHome,
  type RealGateway,
  type RealHome,
  runRealCommand,
  startRealGateway,
} from './real-gateway.ts'
import { REAL_VERSIONS } from './real-versions.ts'

const page = readFileSync(new URL('../../docs/openclaw.md', import.meta.url), 'utf8')
const MAIN = new URL('../../packages/cli/src/main.ts', import.meta.url)
const sample = (name: string): URL => new URL(`./samples/${name}.ts`, import.meta.url)

let home: RealHome
let gateway: RealGateway | null
beforeEach(() => {
  home = createRealHome()
  gateway = null
})
afterEach(async () => {
  await gateway?.stop()
  home.remove()
})

/** As a person on that HOME would run it. */
function run(name: string, running: RealGateway): Promise<Outcome> {
  return runProgram(sample(name), {
    env: {
      HOME: home.directory,
      HOLDFAST_DIR_MY_APP: join(home.directory, 'my-app'),
      XDG_DATA_HOME: undefined,
      OPENCLAW_STATE_DIR: undefined,
      OPENCLAW_GATEWAY_URL: running.url,
      OPENCLAW_GATEWAY_TOKEN: home.gatewayToken,
    },
  })
}

interface Listed {
  readonly paired: readonly { readonly deviceId: string }[]
  readonly pending: readonly { readonly deviceId: string }[]
}

describe.each(REAL_VERSIONS)('the page on OpenClaw, followed at %s', version => {
  /** The command of the page, word for word; without `--url`, since its reader has one gateway. */
  async function list(): Promise<Listed> {
    const [, ...args] = 'openclaw devices list --json'.split(' ')
    const { exitCode, stdout, stderr } = await runRealCommand(version, home, args)
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 })
    return JSON.parse(stdout.slice(stdout.indexOf('{')))
  }

  test('leads from a stuck device to one that is let in with everything', async () => {
    const running = await startRealGateway(version, home)
    gateway = running
    const { deviceId } = await stuckDevice(running)
    const before = await list()
    expect(before.pending.map(pending => pending.deviceId)).toEqual(version === '2026.9.6' ? [] : [deviceId])
    expect(await stuckByDoctor()).toEqual(version === '2026.9.6' ? [] : [deviceId])

    const letIn = ['let in with operator.read', 'let in with operator.write', 'let in with operator.admin']
    const first = await run('enrol', running)
    expect(first.stderr).toBe('')
    const freed = version === '2026.9.6' ? [] : ['approved', 'removed']
    expect(first.stdout.trimEnd().split('\n')).toEqual([...freed, ...letIn])
    expect((await run('enrol', running)).stdout.trimEnd().split('\n')).toEqual(letIn)

    expect(await stuckByDoctor()).toEqual([])

    const after = await list()
    expect(after.pending).toEqual([])
    expect(after.paired.filter(paired => paired.deviceId === deviceId)).toHaveLength(1)
    expect(after.paired).toHaveLength(before.paired.length)
    if (version !== '2026.2.21') expect((await run('official-client', running)).stdout).toBe('let in\n')
  })

  /** The devices that the doctor of the page calls stuck. */
  async function stuckByDoctor(): Promise<readonly string[]> {
    const args = 'openclaw doctor --app my-app'.split(' ')
    const { answer, stderr } = await runProgram(MAIN, {
      args: [...args, '--json'],
      env: {
        HOME: home.directory,
        HOLDFAST_DIR_MY_APP: join(home.directory, 'my-app'),
        OPENCLAW_STATE_DIR: undefined,
      },
    })
    expect(stderr).toBe('')
    const { traps } = answer as {
      readonly traps: readonly { readonly trap: string; readonly deviceId: string }[]
    }
    return traps.filter(({ trap }) => trap === 'scopes-stuck').map(({ deviceId }) => deviceId)
  }

  /** As it was found: an identity whose first connection only read. */
  async function stuckDevice(running: RealGateway) {
    const directory = join(home.directory, 'my-app')
    await openIdentity({ directory })
    const key = plainKeyOf(directory)
    const wish = { url: running.url, token: home.gatewayToken }
    await plainAttempt(key, { ...wish, scopes: ['operator.read'] })
    await plainAttempt(key, { ...wish, scopes: ['operator.write'] })
    return key
  }
})

describe('the page on OpenClaw', () => {
  test('shows the programs that run here, and imports as it says', async () => {
    for (const name of ['enrol', 'official-client', 'import'])
      expect(page).toContain(readFileSync(sample(name), 'utf8'))
    expect(page).toContain('```sh\nopenclaw devices list --json\n```')
    expect(page).toContain('```sh\nholdfast openclaw doctor --app my-app\n```')
    const running = await startRealGateway('2026.9.6', home)
    gateway = running
    expect((await run('import', running)).stdout).toMatch(/^adopted: [0-9a-f]{64}\n$/)
    expect((await run('import', running)).stdout).toMatch(/^present: [0-9a-f]{64}\n$/)
    expect((await run('enrol', running)).stderr).toBe('')
  })
})
