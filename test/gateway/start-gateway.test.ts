import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningGateway, startGateway } from '@holdfast/gateway'
import { createEphemeralIdentity } from '@holdfast/identity'
import { locateState, readGatewayNote, replacePrivateFile } from '@holdfast/identity/state'
import { openSqliteStore } from '@holdfast/pairing-store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { programPath } from '../support/processes.ts'
import { attempt, sendBytes, upgradeRequest } from './raw-client.ts'
import { until } from './test-gate.ts'

const ROUNDS = process.env['HOLDFAST_LONG'] === undefined ? 3 : 20
const LOCAL = { ceiling: ['operator.read'] }

let directory: string
const running: RunningGateway[] = []
const children: ChildProcess[] = []

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'holdfast-start-')), 'state')
})
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const gateway of running.splice(0)) await gateway.close()
  await rm(join(directory, '..'), { recursive: true, force: true })
})

async function start(options: Partial<Parameters<typeof startGateway>[0]> = {}): Promise<RunningGateway> {
  const gateway = await startGateway({ directory, trustedLocal: LOCAL, ...options })
  running.push(gateway)
  return gateway
}

const token = () => readFileSync(join(directory, 'gateway-token', 'token'), 'utf8')

/** A gateway in a process of its own, and the line that it says. */
async function startElsewhere(program = 'gateway.ts', argument = directory, openFiles: number | null = null) {
  const path = programPath(new URL(`programs/${program}`, import.meta.url))
  const command = [process.execPath, '--conditions=source', path, argument]
  const limited = ['/bin/sh', '-c', `ulimit -n ${openFiles}; exec "$@"`, 'sh', ...command]
  const [executable = '', ...rest] = openFiles === null ? command : limited
  const child = spawn(executable, rest, {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, said: line.toString().trim() }
}

describe('a whole gateway', () => {
  test('makes what is missing, listens, and leaves a note by which it is found', async () => {
    const gateway = await start()
    expect((await readdir(directory)).filter(name => !name.startsWith('store.sqlite')).sort()).toEqual([
      'audit-head',
      'gateway',
      'gateway-token',
      'gateway.json',
      'gateway.lock.sqlite',
    ])
    const location = locateState({ directory })
    expect(await readGatewayNote(location)).toMatchObject({
      url: gateway.url,
      gatewayId: gateway.gatewayId,
      pid: process.pid,
      store: location.store,
      protocol: 'holdfast/1',
    })
    expect(gateway.url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/)
    expect(token()).toMatch(/^[A-Za-z0-9_-]{43}$/)
    for (const secret of ['gateway-token/token', 'gateway/key.json', 'gateway.lock.sqlite']) {
      expect((await stat(join(directory, secret))).mode & 0o077).toBe(0)
    }
  })

  test('answers health to whoever is admitted, and the author’s methods beside it', async () => {
    const gateway = await start({ methods: { ping: { scopes: [], handle: () => 'pong' } } })
    const { hello, peer } = await attempt(gateway.url, {
      identity: createEphemeralIdentity(),
      token: token(),
    })
    const pairing = ['list', 'approve', 'reject', 'remove'].map(act => `device.pair.${act}`)
    const methods = ['health', ...pairing, 'device.token.rotate', 'device.token.revoke', 'ping']
    expect(hello).toMatchObject({ features: { methods } })
    peer.send({ type: 'req', id: '1', method: 'health' })
    expect(await peer.next()).toMatchObject({ id: '1', ok: true, payload: { ok: true } })
    peer.send({ type: 'req', id: '2', method: 'ping' })
    expect(await peer.next()).toMatchObject({ id: '2', payload: 'pong' })
  })

  test('keeps its key, token, devices and requests over restarts', async () => {
    const identity = createEphemeralIdentity()
    const first = await start()
    const before = { id: first.gatewayId, token: token() }
    expect((await attempt(first.url, { identity, token: token() })).hello).not.toBeNull()
    await first.close()
    for (let round = 0; round < 3; round++) {
      const next = await start()
      expect({ id: next.gatewayId, token: token() }).toEqual(before)
      // F58: known by its key alone, without the token.
      expect((await attempt(next.url, { identity })).hello).not.toBeNull()
      expect((await next.store.listDevices()).items).toHaveLength(1)
      expect((await next.store.listRequests()).items).toHaveLength(0)
      await next.close()
    }
  })

  test('takes its note away when it closes, unless it is another’s', async () => {
    const location = locateState({ directory })
    const first = await start()
    await first.close()
    expect(await readGatewayNote(location)).toBeNull()
    const second = await start()
    const note = await readGatewayNote(location)
    const foreign = { ...note, pid: 1, url: 'ws://127.0.0.1:9' }
    await writeFile(`${location.gatewayNote}.new`, JSON.stringify(foreign), { mode: 0o600 })
    await rename(`${location.gatewayNote}.new`, location.gatewayNote)
    await second.close()
    expect(await readGatewayNote(location)).toEqual(foreign)
  })

  test('takes a token that was replaced in its file, without a restart', async () => {
    const gateway = await start()
    const { peer } = await attempt(gateway.url, { identity: createEphemeralIdentity(), token: token() })
    const old = token()
    const next = 'Replaced-Token-Of-Forty-Three-Characters-01'
    await replacePrivateFile(gateway.location, 'gateway-token/token', Buffer.from(`${next}\n`))
    expect(
      (await attempt(gateway.url, { identity: createEphemeralIdentity(), token: next })).hello,
    ).not.toBeNull()
    expect(await peer.closed).toEqual({ code: 1012, reason: 'gateway token rotated' })
    const { details } = await attempt(gateway.url, { identity: createEphemeralIdentity(), token: old })
    expect(details).toMatchObject({ refusal: 'token-mismatch' })
  })

  test('a table of roles that is null is refused, not replaced by the built-in one', async () => {
    const roles = JSON.parse('null')
    await expect(start({ roles })).rejects.toMatchObject({ code: 'ROLES_INVALID' })
    // Nothing is held by it.
    await start()
  })

  test('a store that the caller opened stays open, and the note does not name it', async () => {
    const store = await openSqliteStore({ path: join(directory, '..', 'elsewhere.sqlite') })
    const gateway = await start({ store })
    expect((await readGatewayNote(gateway.location))?.store).toBeNull()
    await gateway.close()
    expect((await store.listDevices()).items).toEqual([])
    await store.close()
  })

  test('an address that is taken is a typed error, and leaves nothing held', async () => {
    const first = await start()
    const other = join(directory, '..', 'other')
    const failing = startGateway({ directory: other, trustedLocal: false, port: first.port })
    await expect(failing).rejects.toMatchObject({ code: 'LISTEN_FAILED', detail: { errno: 'EADDRINUSE' } })
    const second = await startGateway({ directory: other, trustedLocal: false })
    await second.close()
  })

  test('bound to every address it names one that can be dialled', async () => {
    const gateway = await start({ host: '0.0.0.0' })
    expect(gateway.url).toBe(`ws://127.0.0.1:${gateway.port}`)
    const sixth = await startGateway({
      directory: join(directory, '..', 'six'),
      trustedLocal: false,
      host: '::',
    })
    expect(sixth.url).toBe(`ws://[::1]:${sixth.port}`)
    await sixth.close()
  })

  test('M11: headers that dribble in are cut, and a plain request is told what this is', async () => {
    const gateway = await start()
    const dribbling = connect({ port: gateway.port, host: '127.0.0.1' })
    dribbling.on('error', () => undefined)
    dribbling.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n')
    const drip = setInterval(() => dribbling.write('X-A: b\r\n'), 200)
    const silent = connect({ port: gateway.port, host: '127.0.0.1' })
    silent.on('error', () => undefined).resume()
    const plain = sendBytes(gateway.port, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    expect((await plain.all).toString()).toMatch(/^HTTP\/1\.1 426 /)
    dribbling.resume()
    // Not by `once`, which ends with an error where a drip meets the socket as it is being cut.
    const closed = (socket: Socket) => new Promise(resolve => void socket.on('close', resolve))
    await Promise.all([closed(dribbling), closed(silent)])
    clearInterval(drip)
  })
})

describe('connections without an upgrade', () => {
  const idle: Socket[] = []
  afterEach(() => {
    for (const socket of idle.splice(0)) socket.removeAllListeners('close').destroy()
  })
  function openIdle(port: number, onClose: () => void): void {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.on('error', () => undefined)
    socket.on('close', onClose)
    idle.push(socket)
  }

  test('M11: past their bound a random one is evicted, and never one that was upgraded', async () => {
    const gateway = await start({ limits: { socketsBeforeUpgrade: 8 } })
    const identity = createEphemeralIdentity()
    const { peer } = await attempt(gateway.url, { identity, token: token() })
    let evicted = 0
    for (let index = 0; index < 40; index++)
      openIdle(gateway.port, () => {
        evicted += 1
      })
    // Less than the time after which silent ones are ended anyway.
    await until(() => evicted === 32, 4_000)
    expect((await attempt(gateway.url, { identity, token: token() })).hello).not.toBeNull()
    expect(peer.socket.readyState).toBe(1)
  })

  test('M11: refused upgrades keep their place until they are closed', async () => {
    const gateway = await start({ limits: { socketsBeforeUpgrade: 4, closeGraceMs: 60_000 } })
    const request = upgradeRequest(gateway.port, { Host: 'evil.example' })
    let closed = 0
    for (let index = 0; index < 12; index++) {
      const socket = connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })
      socket.on('error', () => undefined)
      socket.on('close', () => {
        closed += 1
      })
      socket.resume()
      idle.push(socket)
      socket.write(request)
    }
    // Such a peer hears of its end only by sending on.
    await until(() => {
      for (const socket of idle) socket.write('x')
      return closed >= 8
    })
    expect(closed).toBe(8)
  })

  test.skipIf(process.platform === 'win32')(
    'M11: a thousand that say nothing and come back at once do not keep an honest client out',
    async () => {
      const { said } = await startElsewhere('gateway.ts', directory, 600)
      const { url } = JSON.parse(said) as { url: string }
      const port = Number(new URL(url).port)
      let open = true
      const flood = () =>
        openIdle(port, () => {
          if (open) setTimeout(flood, 1)
        })
      for (let index = 0; index < 1_000; index++) flood()
      await until(() => idle.filter(socket => socket.readyState === 'open').length >= 256)
      let admitted = 0
      for (let round = 0; round < 30; round++) {
        const tried = attempt(url, { identity: createEphemeralIdentity(), token: token() })
        const late = new Promise<null>(resolve => setTimeout(() => resolve(null), 1_000))
        const answer = await Promise.race([tried.catch(() => null), late])
        if (answer !== null && answer.hello !== null) admitted += 1
        if (admitted === 3) break
      }
      open = false
      expect(admitted).toBe(3)
    },
    60_000,
  )
})

describe('one per state directory', () => {
  test('a second in the same process is told which one runs, and the first keeps its lock', async () => {
    const first = await start()
    for (let round = 0; round < 2; round++) {
      await expect(start()).rejects.toMatchObject({
        code: 'GATEWAY_RUNNING',
        detail: { directory, pid: process.pid, url: first.url },
      })
    }
    expect(JSON.parse((await startElsewhere()).said)).toMatchObject({
      code: 'GATEWAY_RUNNING',
      url: first.url,
    })
  })

  test('F59: of many started together one runs, and the others name it', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const all = await Promise.all(Array.from({ length: 6 }, () => startElsewhere()))
      const said = all.map(each => JSON.parse(each.said) as Record<string, unknown>)
      const winners = said.filter(each => each['code'] === undefined)
      expect(winners).toHaveLength(1)
      const [winner] = winners
      for (const loser of said.filter(each => each !== winner)) {
        expect(loser).toMatchObject({ code: 'GATEWAY_RUNNING', url: winner?.['url'], pid: winner?.['pid'] })
      }
      for (const { child } of all) {
        child.kill('SIGKILL')
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      }
    }
  })

  test('F27 F28: a killed gateway leaves a note and a lock file, and hinders nobody', async () => {
    const { child, said } = await startElsewhere()
    child.kill('SIGKILL')
    await once(child, 'exit')
    const location = locateState({ directory })
    const stale = await readGatewayNote(location)
    expect(stale?.url).toBe(JSON.parse(said).url)
    const gateway = await start()
    expect(await readGatewayNote(location)).toMatchObject({ url: gateway.url, pid: process.pid })
  })

  test('a lock that is held by somebody who does not answer is reported without a url', async () => {
    const first = await start()
    await first.close()
    const { said } = await startElsewhere('hold-lock.ts', join(directory, 'gateway.lock.sqlite'))
    expect(said).toBe('held')
    await expect(start()).rejects.toMatchObject({ code: 'GATEWAY_RUNNING', detail: { pid: null, url: null } })
  })

  test('without the lock there would be two (negative control)', async () => {
    const first = await start()
    await rm(join(directory, 'gateway.lock.sqlite'))
    const second = await start()
    expect(second.url).not.toBe(first.url)
    await until(async () => (await readGatewayNote(second.location))?.url === second.url)
  })
})
