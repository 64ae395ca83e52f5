import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Finding } from '@holdfast/identity'
import { openIdentity } from '@holdfast/identity'
import { childEnvironment } from '@holdfast/spawner'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  canConnectNetworks,
  canContain,
  canLayer,
  connectTwoNetworks,
  inContainer,
  inContainerWithoutVolume,
} from '../support/containers.ts'
import { type Outcome, runProgram, startProgram } from '../support/processes.ts'
import { holdfastJson, temporaryFolder } from './holdfast.ts'

const GATEWAY = new URL('./programs/gateway-for-containers.ts', import.meta.url)
const CLIENT = new URL('./programs/client-for-containers.ts', import.meta.url)
const ANSWER = new URL('./programs/answer-as-user.ts', import.meta.url)
const TOUCH = new URL('./programs/touch-as-user.ts', import.meta.url)
const HOLDFAST = new URL('../../packages/cli/src/main.ts', import.meta.url)

const APP = 'subagents'
const READ = { scopes: ['operator.read'] }
/** How often a container is made anew. */
const RECREATIONS = process.env['HOLDFAST_LONG'] === undefined ? 4 : 10
const GATEWAY_USER = '12345'
const CLIENT_USER = '23456'

interface Listening {
  readonly url: string
  readonly gatewayId: string
  readonly port: number
}

interface Connected {
  readonly deviceId: string
  readonly created: boolean
  readonly scopes?: readonly string[]
  readonly code?: string
  readonly detail?: { readonly refusal?: string; readonly requestId?: string }
}

/** A gateway in a process of its own, which ends with the test. */
async function startGatewayThere(within: readonly string[], ...args: readonly string[]): Promise<Listening> {
  const program = startProgram(GATEWAY, { within, args })
  onTestFinished(async () => {
    program.kill()
    await program.outcome
  })
  return new Promise((resolve, reject) => {
    program.process.stdout?.once('data', (line: string) => resolve(JSON.parse(line)))
    void program.outcome.then(({ stderr }) => reject(new Error(`no gateway: ${stderr}`)))
  })
}

async function connectThere(
  within: readonly string[],
  place: object,
  wish: object,
  more: { readonly env?: Readonly<Record<string, string>>; readonly asUid?: string } = {},
): Promise<Connected> {
  const args = [
    JSON.stringify(place),
    JSON.stringify(wish),
    ...(more.asUid === undefined ? [] : [more.asUid]),
  ]
  const { answer, stderr } = await runProgram(CLIENT, { within, args, env: more.env ?? {} })
  expect(stderr).toBe('')
  return answer as Connected
}

function freshVolume(): string {
  const volume = join(temporaryFolder(), 'volume')
  mkdirSync(volume, { mode: 0o700 })
  return volume
}

describe.skipIf(!canContain)('containers (needs root and namespaces)', () => {
  test('F08: a container that is made anew again and again, with its volume here or there, stays one device that nobody is asked about', async () => {
    const volume = freshVolume()
    await startGatewayThere([], volume, '127.0.0.1')
    const ids = new Set<string>()
    for (let time = 0; time < RECREATIONS; time++) {
      const mountPoint = time % 2 === 0 ? '/mnt' : '/srv'
      const seen = await connectThere(inContainer(volume, mountPoint), { directory: mountPoint }, READ)
      expect(seen).toMatchObject({ created: time === 0, scopes: READ.scopes })
      ids.add(seen.deviceId)
    }
    expect(ids.size).toBe(1)
    expect(await holdfastJson(volume, 'requests')).toMatchObject({ requests: [] })
    expect(await holdfastJson<{ devices: unknown[] }>(volume, 'devices')).toMatchObject({
      devices: [{ deviceId: [...ids][0], trust: 'trusted-local' }],
    })
  })

  test('F08: without its volume a new container is a new device (negative control)', async () => {
    const ids = new Set<unknown>()
    for (let time = 0; time < 2; time++) {
      const within = inContainer(freshVolume(), '/mnt')
      const { answer } = await runProgram(HOLDFAST, { within, args: ['id', '--state-dir', '/mnt', '--json'] })
      ids.add((answer as { deviceId: string }).deviceId)
    }
    expect(ids.size).toBe(2)
  })

  test('F83: two containers with one volume and one network: the other’s calls are local, registered once, and never asked about', async () => {
    const volume = freshVolume()
    const { gatewayId } = await startGatewayThere(inContainer(volume, '/mnt'), '/mnt', '127.0.0.1')
    const identity = await openIdentity({ app: APP, directory: volume })
    // What a parent hands down names the place as the child’s container sees it.
    const env = { ...childEnvironment(identity), HOLDFAST_DIR_SUBAGENTS: '/srv' }
    for (const scopes of [['operator.read'], ['operator.write']]) {
      const seen = await connectThere(
        inContainer(volume, '/srv'),
        { app: APP },
        { scopes, gatewayId },
        { env },
      )
      expect(seen).toEqual({ deviceId: identity.id, created: false, scopes })
    }
    expect(await holdfastJson(volume, 'devices')).toMatchObject({
      devices: [{ deviceId: identity.id, trust: 'trusted-local' }],
    })
    expect(await holdfastJson(volume, 'requests')).toMatchObject({ requests: [] })
  })

  test.skipIf(!canConnectNetworks)(
    'F83: two containers with a network each: the other is asked about, or let in by a code',
    async () => {
      const [ours, theirs] = [freshVolume(), freshVolume()]
      const { names, addresses } = connectTwoNetworks()
      const { port, gatewayId } = await startGatewayThere(
        inContainer(ours, '/mnt', names[0]),
        '/mnt',
        '0.0.0.0',
      )
      const url = `ws://${addresses[0]}:${port}`
      const within = inContainer(theirs, '/srv', names[1])
      const asked = await connectThere(within, { directory: '/srv' }, { ...READ, url, gatewayId })
      expect(asked).toMatchObject({ code: 'ADMISSION_REFUSED', detail: { refusal: 'pairing-required' } })
      expect(await holdfastJson(ours, 'requests')).toMatchObject({
        requests: [{ requestId: asked.detail?.requestId, deviceId: asked.deviceId, source: addresses[1] }],
      })
      const { code } = await holdfastJson<{ code: string }>(ours, 'invite', '--scopes', 'operator.read')
      const wish = { ...READ, url, gatewayId, joinCode: code }
      const joined = await connectThere(within, { directory: '/srv' }, wish)
      expect(joined).toEqual({ deviceId: asked.deviceId, created: false, scopes: READ.scopes })
      expect(await holdfastJson(ours, 'devices')).toMatchObject({ devices: [{ trust: 'approved' }] })
    },
  )

  test.skipIf(!canLayer)(
    'F08: state in the container’s own layer or in memory is one warning that names the place, with the line that helps',
    async () => {
      const scratch = temporaryFolder()
      const places = [
        { within: inContainerWithoutVolume(scratch, '/mnt'), at: '/mnt/state', type: 'overlay' },
        { within: inContainer('/dev/shm', '/mnt'), at: '/mnt/holdfast/state', type: 'tmpfs' },
      ]
      for (const { within, at, type } of places) {
        const { answer } = await runProgram(HOLDFAST, {
          within,
          args: ['doctor', '--state-dir', at, '--json'],
        })
        expect(warningsIn(answer)).toMatchObject([
          { path: at, severity: 'warning', facts: { type }, fix: expect.stringContaining('HOLDFAST_DIR_') },
        ])
      }
    },
  )

  test.skipIf(isPassing(statfsSync(tmpdir()).type >>> 0))(
    'F08: state on a volume that stays is no warning (negative control)',
    async () => {
      const within = inContainer(freshVolume(), '/mnt')
      const { answer } = await runProgram(HOLDFAST, {
        within,
        args: ['doctor', '--state-dir', '/mnt', '--json'],
      })
      expect(warningsIn(answer)).toEqual([])
    },
  )
})

function warningsIn(answer: unknown): readonly Finding[] {
  const { findings } = answer as { readonly findings: readonly Finding[] }
  return findings.filter(({ code }) => code === 'EPHEMERAL_STATE')
}

/** tmpfs or overlay, where this machine itself is a container. */
function isPassing(type: number): boolean {
  return type === 0x01021994 || type === 0x794c7630
}

describe.skipIf(process.geteuid?.() !== 0)('a gateway and a client of a user each (needs root)', () => {
  /** A place for a user’s state: they own it, and nobody else may enter. */
  function placeOf(uid: string, folder: string): string {
    const directory = join(folder, `of-${uid}`)
    mkdirSync(directory, { mode: 0o700 })
    chownSync(directory, Number(uid), Number(uid))
    return directory
  }

  /** A directory and everything below it. */
  function everythingIn(directory: string): readonly string[] {
    const below = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    return [directory, ...below.map(name => join(directory, name))]
  }

  async function touched(asUid: string, directory: string): Promise<unknown> {
    const outcome: Outcome = await runProgram(TOUCH, { args: [asUid, ...everythingIn(directory)] })
    return outcome.answer
  }

  test('F84 M16: the key is the client’s, the store the gateway’s, neither can touch the other’s, and pairing works', async () => {
    const folder = temporaryFolder()
    chmodSync(folder, 0o711)
    const [ofGateway, ofClient] = [placeOf(GATEWAY_USER, folder), placeOf(CLIENT_USER, folder)]
    const { url, gatewayId } = await startGatewayThere([], ofGateway, '127.0.0.1', GATEWAY_USER)
    const connect = (): Promise<Connected> =>
      connectThere([], { directory: ofClient }, { ...READ, url, gatewayId }, { asUid: CLIENT_USER })

    // Same machine, loopback: without the gateway’s token that makes nobody local.
    const asked = await connect()
    expect(asked).toMatchObject({ code: 'ADMISSION_REFUSED', detail: { refusal: 'pairing-required' } })
    const store = join(ofGateway, 'store.sqlite')
    const { answer } = await runProgram(ANSWER, {
      args: [store, asked.detail?.requestId ?? '', GATEWAY_USER],
    })
    expect(answer).toMatchObject({ found: true, devices: [{ deviceId: asked.deviceId, trust: 'approved' }] })
    expect(await connect()).toEqual({ deviceId: asked.deviceId, created: false, scopes: READ.scopes })

    const { uid, mode } = lstatSync(join(ofClient, 'device', 'key.json'))
    expect({ uid, mode: mode & 0o7777 }).toEqual({ uid: Number(CLIENT_USER), mode: 0o600 })
    expect(lstatSync(store).uid).toBe(Number(GATEWAY_USER))
    for (const [owner, directory] of [
      [GATEWAY_USER, ofGateway],
      [CLIENT_USER, ofClient],
    ] as const) {
      for (const path of everythingIn(directory)) {
        const facts = lstatSync(path)
        expect({ path, uid: facts.uid, open: facts.mode & 0o022 }).toEqual({
          path,
          uid: Number(owner),
          open: 0,
        })
      }
    }
    expect(await touched(CLIENT_USER, ofGateway)).toEqual([])
    expect(await touched(GATEWAY_USER, ofClient)).toEqual([])
    // The control: their owner can, so that it is the user that makes the difference.
    expect(await touched(GATEWAY_USER, ofGateway)).toContain(`write ${store}`)
    expect(await touched(CLIENT_USER, ofClient)).toContain(`write ${join(ofClient, 'device', 'key.json')}`)
  })
})
