import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createEphemeralIdentity, openIdentity } from '@holdfast/identity'
import {
  type ConnectOptions,
  connectToGateway,
  type GatewayConnection,
  type LifecycleNotice,
} from '@holdfast/spawner'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startScriptedGateway } from './scripted-gateway.ts'
import { failureOf, freshDirectory, gatewayFor, until, WISH } from './surroundings.ts'

const identity = createEphemeralIdentity()
const ROUNDS = process.env['HOLDFAST_LONG'] ? 20 : 3

async function connected(options: Partial<ConnectOptions>): Promise<GatewayConnection> {
  const connection = await connectToGateway({ ...(!options.directory && { identity }), ...WISH, ...options })
  onTestFinished(() => void connection.close())
  return connection
}

describe('calls', () => {
  test('a call resolves with its payload', async () => {
    const gateway = await gatewayFor({ call: (method, params) => ({ method, params }) })
    const connection = await connected({ url: gateway.url })
    expect(await connection.call('health')).toEqual({ method: 'health', params: null })
    expect(await connection.call('echo', { a: 1 })).toEqual({ method: 'echo', params: { a: 1 } })
  })

  test('F61: answers in any order reach the call that asked', async () => {
    const held: (() => void)[] = []
    const gateway = await gatewayFor({
      call: (_, params, ws, id) => {
        held.push(() => ws.send(JSON.stringify({ type: 'res', id, ok: true, payload: params })))
        if (held.length === 20) for (const answer of held.reverse()) answer()
        return undefined
      },
    })
    const connection = await connected({ url: gateway.url })
    const numbers = Array.from({ length: 20 }, (_, n) => n)
    expect(await Promise.all(numbers.map(n => connection.call('echo', n)))).toEqual(numbers)
  })

  test('F61: 32 connections of one identity have 32 ids, and each gets its own answers', async () => {
    const gateway = await gatewayFor({ call: (_, params) => params })
    const numbers = Array.from({ length: 32 }, (_, n) => n)
    const connections = await Promise.all(numbers.map(() => connected({ url: gateway.url })))
    expect(new Set(connections.map(({ connectionId }) => connectionId)).size).toBe(32)
    expect(new Set(gateway.connects.map(({ params }) => params.device?.nonce)).size).toBe(32)
    expect(await Promise.all(connections.map((each, n) => each.call('echo', n)))).toEqual(numbers)
  })

  test('an error answer is a typed error with the code and details of the gateway', async () => {
    const gateway = await gatewayFor({
      call: (_, __, ws, id) => {
        const error = { code: 'INVALID_REQUEST', message: 'no', details: { field: 'a' } }
        ws.send(JSON.stringify({ type: 'res', id, ok: false, error }))
        return undefined
      },
    })
    const connection = await connected({ url: gateway.url })
    const { detail } = await failureOf(connection.call('do'), 'CALL_FAILED')
    expect(detail).toEqual({ method: 'do', code: 'INVALID_REQUEST', message: 'no', details: { field: 'a' } })
  })

  test('an aborted call rejects with the reason; its late answer harms nobody', async () => {
    const gateway = await gatewayFor({ call: (method, params) => (method === 'slow' ? undefined : params) })
    const connection = await connected({ url: gateway.url })
    const abort = new AbortController()
    const slow = connection.call('slow', null, { signal: abort.signal })
    const reason = new Error('enough')
    abort.abort(reason)
    await expect(slow).rejects.toBe(reason)
    await expect(connection.call('slow', null, { signal: abort.signal })).rejects.toBe(reason)
    gateway.sockets()[0]?.send('{"type":"res","id":"1","ok":true,"payload":"late"}')
    expect(await connection.call('echo', 7)).toBe(7)
  })

  test('messages that are no frames are passed over', async () => {
    const gateway = await gatewayFor({ call: (_, params) => params })
    const connection = await connected({ url: gateway.url })
    for (const noise of ['', '{', '[]', '{"type":"res","id":7,"ok":true}', Buffer.from([0xff])]) {
      gateway.sockets()[0]?.send(noise)
    }
    expect(await connection.call('echo', 1)).toBe(1)
  })
})

describe('events', () => {
  test('nothing is missed between hello and the code behind the await', async () => {
    const thenEvents = [1, 2, 3].map(payload => ({ event: 'count', payload }))
    const gateway = await gatewayFor({ answer: () => ({ kind: 'hello', thenEvents }) })
    const connection = await connected({ url: gateway.url })
    const seen: unknown[] = []
    connection.on('count', payload => seen.push(payload))
    await until(() => seen.length === 3)
    expect(seen).toEqual([1, 2, 3])
  })

  test('a listener that was taken away hears nothing more; others do', async () => {
    const gateway = await gatewayFor()
    const connection = await connected({ url: gateway.url })
    const [kept, dropped]: [unknown[], unknown[]] = [[], []]
    const listener = (payload: unknown): number => dropped.push(payload)
    const off = connection.on('e', listener)
    connection.on('e', payload => kept.push(payload))
    const send = (payload: number): void =>
      gateway.sockets()[0]?.send(JSON.stringify({ type: 'event', event: 'e', payload }))
    send(1)
    await until(() => kept.length === 1)
    off()
    send(2)
    await until(() => kept.length === 2)
    expect(dropped).toEqual([1])
  })
})

describe('a lost socket', () => {
  test(`F58: comes back after each of ${ROUNDS} restarts, on the same and on another port`, async () => {
    const directory = await freshDirectory()
    const { id } = await openIdentity({ directory })
    let gateway = await startScriptedGateway({ call: (_, params) => params })
    onTestFinished(() => gateway.stop())
    await gateway.leaveNote(directory)
    const notices: LifecycleNotice['kind'][] = []
    const connections = await Promise.all(
      Array.from({ length: 5 }, () =>
        connected({ directory, onLifecycle: notice => notices.push(notice.kind) }),
      ),
    )
    for (let round = 0; round < ROUNDS; round++) {
      const { port } = gateway
      await gateway.stop(round % 2 === 0 ? null : 1012)
      await until(() => notices.filter(kind => kind === 'lost').length === 5 * (round + 1))
      gateway = await startScriptedGateway({
        call: (_, params) => params,
        ...(round % 2 === 0 && { port }),
      })
      await gateway.leaveNote(directory)
      await until(() => notices.filter(kind => kind === 'reconnected').length === 5 * (round + 1))
      expect(await Promise.all(connections.map((each, n) => each.call('echo', n)))).toEqual([0, 1, 2, 3, 4])
      expect(new Set(gateway.connects.map(({ params }) => params.device?.id))).toEqual(new Set([id]))
      expect(gateway.connects).toHaveLength(5)
    }
  })

  test('a call under way is lost; one that is made meanwhile waits and is sent', async () => {
    const gateway = await gatewayFor({ call: (method, params) => (method === 'slow' ? undefined : params) })
    const connection = await connected({ url: gateway.url })
    const before = connection.connectionId
    const slow = failureOf(connection.call('slow'), 'CONNECTION_LOST')
    await connection.call('echo', 0)
    const lost = once(gateway.sockets()[0] ?? process, 'close')
    gateway.sockets()[0]?.terminate()
    await lost
    expect((await slow).detail).toEqual({ method: 'slow', sent: true })
    expect(await connection.call('echo', 1)).toBe(1)
    expect(connection.connectionId).not.toBe(before)
  })

  test('a waiting call gives up after its bound, unsent, and hears its signal', async () => {
    const directory = await freshDirectory()
    await openIdentity({ directory })
    const gateway = await gatewayFor()
    await gateway.leaveNote(directory)
    const connection = await connected({ directory, connectTimeoutMs: 300 })
    const slow = failureOf(connection.call('slow'), 'CONNECTION_LOST')
    await gateway.stop()
    expect((await slow).detail.sent).toBe(true)
    const unsent = failureOf(connection.call('echo'), 'CONNECTION_LOST')
    const abort = new AbortController()
    const aborted = connection.call('echo', null, { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')
    expect((await unsent).detail.sent).toBe(false)
  })

  test.each([1008, 4001])('a live socket closed with %i is not taken up again', async code => {
    const gateway = await gatewayFor()
    const connection = await connected({ url: gateway.url })
    const slow = failureOf(connection.call('slow'), 'CONNECTION_LOST')
    await until(() => gateway.sockets().length === 1)
    gateway.sockets()[0]?.close(code, 'device revoked')
    expect(await connection.closed).toEqual({ code, reason: 'device revoked', refusal: null, error: null })
    await slow
    const { detail } = await failureOf(connection.call('echo'), 'CONNECTION_CLOSED')
    expect(detail).toMatchObject({ closeCode: code, reason: 'device revoked' })
    expect(gateway.connects).toHaveLength(1)
  })

  test('a refusal at coming back ends it, and the end says which', async () => {
    const gateway = await gatewayFor({
      answer: (_, nth) =>
        nth === 1 ? { kind: 'hello' } : { kind: 'refuse', refusal: { code: 'device-revoked' }, rule: '8' },
    })
    const connection = await connected({ url: gateway.url })
    gateway.sockets()[0]?.close(1012)
    const end = await connection.closed
    expect(end).toMatchObject({ code: 1008, refusal: { refusal: 'device-revoked', rule: '8' } })
    expect(end.error).toMatchObject({ code: 'ADMISSION_REFUSED' })
    expect(gateway.connects).toHaveLength(2)
  })

  test('it gives up after its bound, and says why', async () => {
    const gateway = await gatewayFor()
    const connection = await connected({ url: gateway.url, reconnectTimeoutMs: 200 })
    await gateway.stop()
    const end = await connection.closed
    expect(end).toMatchObject({ code: 1006, refusal: null, error: { code: 'GATEWAY_UNREACHABLE' } })
    await failureOf(connection.call('echo'), 'CONNECTION_CLOSED')
  })

  test('with reconnect off the first loss is the end', async () => {
    const gateway = await gatewayFor()
    const connection = await connected({ url: gateway.url, reconnect: false })
    gateway.sockets()[0]?.close(1012, 'restart')
    expect(await connection.closed).toMatchObject({ code: 1012, reason: 'restart', error: null })
    expect(gateway.connects).toHaveLength(1)
  })

  test('a gateway that promised ticks and falls silent counts as lost; one that ticks does not', async () => {
    const notices: string[] = []
    const onLifecycle = (notice: LifecycleNotice): number => notices.push(notice.kind)
    const gateway = await gatewayFor({
      answer: (_, nth) => ({ kind: 'hello', ...(nth === 1 && { tickIntervalMs: 100 }) }),
    })
    const connection = await connected({ url: gateway.url, onLifecycle })
    const [socket] = gateway.sockets()
    let ticks = 0
    await new Promise<void>(resolve => {
      const timer = setInterval(() => {
        socket?.send('{"type":"event","event":"tick"}')
        if (++ticks < 20) return
        clearInterval(timer)
        resolve()
      }, 30)
    })
    expect(notices).toEqual([])
    await until(() => notices.length === 2)
    expect(notices).toEqual(['lost', 'reconnected'])
    expect(connection.connectionId).toBe('connection-2')
  })

  test('close while coming back ends the coming back', async () => {
    const gateway = await gatewayFor()
    const notices: string[] = []
    const connection = await connected({ url: gateway.url, onLifecycle: notice => notices.push(notice.kind) })
    await gateway.stop()
    await until(() => notices.length === 1)
    const waiting = failureOf(connection.call('echo'), 'CONNECTION_CLOSED')
    expect(await connection.close()).toEqual({ code: 1000, reason: '', refusal: null, error: null })
    await waiting
    await failureOf(connection.call('echo'), 'CONNECTION_CLOSED')
  })
})

describe('the process', () => {
  const root = new URL('../../', import.meta.url)
  const program = (body: string): string => `
    import { createEphemeralIdentity } from '@holdfast/identity'
    import { connectToGateway } from '@holdfast/spawner'
    const connection = await connectToGateway({
      identity: createEphemeralIdentity(), url: process.argv[1], role: 'operator', scopes: [], protocol: 'openclaw',
    })
    ${body}`

  async function exitOf(url: string, body: string): Promise<{ code: number | null; output: string }> {
    const args = ['--conditions=source', '--input-type=module', '--eval', program(body), url]
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let output = ''
    child.stdout.on('data', data => {
      output += data
    })
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, output }
  }

  test('ends by itself after close, even where the gateway promised ticks and calls are open', async () => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'hello', tickIntervalMs: 3_600_000 }) })
    const body = `connection.call('slow').catch(error => console.log(error.code)); await connection.close()`
    expect(await exitOf(gateway.url, body)).toEqual({ code: 0, output: 'CONNECTION_LOST\n' })
  })

  test('stays alive while the connection is open, and coming back', async () => {
    const gateway = await gatewayFor({
      answer: (_, nth) => (nth === 3 ? { kind: 'close', code: 4001, reason: '' } : { kind: 'hello' }),
    })
    const ended = exitOf(gateway.url, `connection.closed.then(({ code }) => console.log(code))`)
    for (const nth of [1, 2]) {
      await until(() => gateway.connects.length === nth && gateway.sockets().length === 1)
      gateway.sockets()[0]?.terminate()
    }
    expect(await ended).toEqual({ code: 0, output: '4001\n' })
  })

  test('a listener that throws is heard of as an uncaught error', async () => {
    const gateway = await gatewayFor({
      answer: () => ({ kind: 'hello', thenEvents: [{ event: 'e', payload: 1 }] }),
    })
    const body = `process.on('uncaughtException', error => { console.log(error.message); connection.close() })
      connection.on('e', () => { throw new Error('mine') })`
    expect(await exitOf(gateway.url, body)).toEqual({ code: 0, output: 'mine\n' })
  })
})
