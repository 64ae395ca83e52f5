import { readdir } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer as createPlainServer } from 'node:net'
import { join } from 'node:path'
import { answerTo, type Refusal } from '@holdfast/handshake'
import { createEphemeralIdentity, deviceIdOf, openIdentity, parsePublicKey } from '@holdfast/identity'
import { locateState, publishOnce } from '@holdfast/identity/state'
import { connectToGateway } from '@holdfast/spawner'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startProgram } from '../support/processes.ts'
import { type Answer, GATEWAY_ID, type SeenConnect } from './scripted-gateway.ts'
import { failureOf, freshDirectory, gatewayFor, until, unusedPort, WISH } from './surroundings.ts'

const identity = createEphemeralIdentity()
const atOnce = { connectTimeoutMs: 0 } as const

describe('being admitted', () => {
  test('resolves after hello-ok, with exactly what was asked for', async () => {
    const gateway = await gatewayFor()
    const scopes = ['operator.write', 'operator.read']
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH, scopes })
    expect(connection.deviceId).toBe(identity.id)
    expect(connection.connectionId).toBe('connection-1')
    expect(connection.role).toBe('operator')
    expect(connection.scopes).toEqual(scopes)
    expect((await connection.close()).code).toBe(1000)
    await until(() => gateway.sockets().length === 0)
  })

  test('F64: shows an id that is the hash of the key, and a proof that verifies, with no credential and none signed', async () => {
    const gateway = await gatewayFor()
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH })
    const [seen] = gateway.connects
    expect(seen?.verdict).toBe('verified')
    const key = parsePublicKey(seen?.params.device?.publicKey ?? '')
    expect(key && deviceIdOf(key)).toBe(seen?.params.device?.id)
    expect(seen?.params.auth).toEqual({
      token: null,
      deviceToken: null,
      bootstrapToken: null,
      password: null,
    })
    await connection.close()
  })

  test('F37: says the same of itself at every connect, and asks for protocol 3 to 4', async () => {
    const gateway = await gatewayFor()
    for (const scopes of [['operator.read'], ['operator.write']]) {
      await (await connectToGateway({ identity, url: gateway.url, ...WISH, scopes })).close()
    }
    const [first, second] = gateway.connects.map(({ params }) => params)
    expect(first?.client).toEqual(second?.client)
    expect(first?.client).toMatchObject({
      id: 'gateway-client',
      mode: 'backend',
      platform: process.platform,
      deviceFamily: null,
    })
    expect(first).toMatchObject({ minProtocol: 3, maxProtocol: 4 })
  })

  test('takes what the caller says of the client, and signs it', async () => {
    const gateway = await gatewayFor()
    const client = { id: 'cli', mode: 'cli', deviceFamily: 'Laptop', displayName: 'Ada' }
    await (await connectToGateway({ identity, url: gateway.url, ...WISH, client })).close()
    expect(gateway.connects[0]?.verdict).toBe('verified')
    expect(gateway.connects[0]?.params.client).toMatchObject(client)
  })

  test('sends no header that would make it look less than direct', async () => {
    const gateway = await gatewayFor()
    await (await connectToGateway({ identity, url: gateway.url, ...WISH })).close()
    expect(Object.keys(gateway.connects[0]?.headers ?? {}).sort()).toEqual([
      'connection',
      'host',
      'sec-websocket-key',
      'sec-websocket-version',
      'upgrade',
    ])
  })
})

describe('being refused', () => {
  test('F39: a refused port and a 1008 are two errors with different advice', async () => {
    const port = await unusedPort()
    const url = `ws://127.0.0.1:${port}`
    const silence = await failureOf(
      connectToGateway({ identity, url, ...WISH, ...atOnce }),
      'GATEWAY_UNREACHABLE',
    )
    expect(silence.detail).toMatchObject({ errno: 'ECONNREFUSED', source: 'option' })
    const gateway = await gatewayFor({
      answer: () => ({ kind: 'refuse', refusal: { code: 'device-revoked' }, rule: '8' }),
    })
    const refusal = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'ADMISSION_REFUSED',
    )
    expect(refusal.detail.closeCode).toBe(1008)
    expect(refusal.detail.fix).not.toBe(silence.detail.fix)
  })

  test('F74: a 1008 hands over the request id, the missing scopes and the exact command', async () => {
    const refusal = {
      code: 'pairing-required',
      requestId: 'request-1',
      missing: ['operator.admin'] as never,
      reason: 'scope-upgrade',
      expiresAtMs: 1,
    } as const
    const command = 'holdfast approve request-1'
    const gateway = await gatewayFor({ answer: () => ({ kind: 'refuse', refusal, rule: '12', command }) })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'ADMISSION_REFUSED',
    )
    expect(detail).toMatchObject({
      refusal: 'pairing-required',
      rule: '12',
      code: 'PAIRING_REQUIRED',
      requestId: 'request-1',
      missing: ['operator.admin'],
      command,
      closeCode: 1008,
      retryable: false,
    })
    expect(detail.fix).toContain(command)
    expect(gateway.connects).toHaveLength(1)
  })

  test('a command that could steer a terminal is not handed on', async () => {
    const gateway = await gatewayFor({
      answer: () => ({
        kind: 'refuse',
        refusal: { code: 'device-required' },
        rule: '4',
        command: 'holdfast approve \u001b[2Jx',
      }),
    })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'ADMISSION_REFUSED',
    )
    expect(detail.command).toBeNull()
  })

  const finals: readonly Refusal[] = [
    { code: 'malformed', problem: { kind: 'not-json' } },
    { code: 'wish-unknown' },
    { code: 'protocol-mismatch' },
    { code: 'token-mismatch' },
    { code: 'device-required' },
    { code: 'device-auth-invalid' },
    { code: 'public-key-invalid' },
    { code: 'device-id-mismatch' },
    { code: 'nonce-mismatch' },
    { code: 'signature-expired', deltaMs: 1, limitMs: 1 },
    { code: 'signature-invalid' },
    { code: 'proof-downgraded' },
    { code: 'device-revoked' },
  ]
  test.each(finals)('F77: $code arrives with its code and reason, and ends it at once', async refusal => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'refuse', refusal, rule: '2' }) })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'ADMISSION_REFUSED',
    )
    const expected = answerTo(refusal, { rule: '2' })
    expect(detail).toMatchObject({
      refusal: refusal.code,
      code: expected.error.details?.['code'] ?? expected.error.code,
      closeCode: expected.closeCode,
      retryable: false,
    })
    expect(gateway.connects).toHaveLength(1)
  })

  const passing: readonly Refusal[] = [
    { code: 'sockets-full' },
    { code: 'rate-limited', retryAfterMs: 1 },
    { code: 'requests-full', cap: 'total' },
    { code: 'store-unavailable' },
    { code: 'shutting-down' },
    { code: 'token-rotated' },
  ]
  test.each(passing)('$code is tried again, and told when the time is over', async refusal => {
    const later = await gatewayFor({
      answer: (_, nth) => (nth < 3 ? { kind: 'refuse', refusal, rule: '0' } : { kind: 'hello' }),
    })
    await (await connectToGateway({ identity, url: later.url, ...WISH })).close()
    expect(later.connects).toHaveLength(3)
    const never = await gatewayFor({ answer: () => ({ kind: 'refuse', refusal, rule: '0' }) })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: never.url, ...WISH, ...atOnce }),
      'ADMISSION_REFUSED',
    )
    expect(detail).toMatchObject({ refusal: refusal.code, retryable: true })
  })

  test.each([
    [403, '', null],
    [403, '{"refusal":"host-rejected"}', 'host-rejected'],
    [401, '{"error":', null],
  ])('an upgrade refused with %i is a refusal with its status', async (status, body, refusal) => {
    const gateway = await gatewayFor({ status, body })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'ADMISSION_REFUSED',
    )
    expect(detail).toMatchObject({ status, refusal, closeCode: null })
  })

  test('F77: a refusal that comes as an event, before or after connect, is a refusal', async () => {
    const event = (refusal: Refusal): string => {
      const { error } = answerTo(refusal, { rule: '0' })
      return JSON.stringify({ type: 'event', event: 'connect.refused', payload: { error } })
    }
    const full = await gatewayFor({ opening: event({ code: 'sockets-full' }) })
    const early = await failureOf(
      connectToGateway({ identity, url: full.url, ...WISH, ...atOnce }),
      'ADMISSION_REFUSED',
    )
    expect(early.detail).toMatchObject({ refusal: 'sockets-full', retryable: true })
    const text = event({ code: 'malformed', problem: { kind: 'not-json' } })
    const deaf = await gatewayFor({ answer: () => ({ kind: 'send', text }) })
    const late = await failureOf(connectToGateway({ identity, url: deaf.url, ...WISH }), 'ADMISSION_REFUSED')
    expect(late.detail).toMatchObject({ refusal: 'malformed', rule: '0', retryable: false, closeCode: null })
  })

  test('a gateway that ran out of patience with a slow child is asked again', async () => {
    const refusal = { code: 'handshake-timeout', limitMs: 1 } as const
    const gateway = await gatewayFor({
      answer: (_, nth) => (nth === 1 ? { kind: 'refuse', refusal, rule: '0' } : { kind: 'hello' }),
    })
    await (await connectToGateway({ identity, url: gateway.url, ...WISH })).close()
    expect(gateway.connects).toHaveLength(2)
  })

  test('a gateway that is there and fell silent is asked again, past the time that one is waited for that is not there', async () => {
    const gateway = await gatewayFor({
      answer: (_, nth) => ({ kind: nth === 1 ? 'silence' : 'hello' }),
    })
    const limits = { connectTimeoutMs: 800, handshakeTimeoutMs: 1_000 }
    await (await connectToGateway({ identity, url: gateway.url, ...WISH, ...limits })).close()
    expect(gateway.connects.length).toBeGreaterThan(1)
  })

  test('an attempt is not over before the answer was read that came while the machine did not run this process', async () => {
    const gateway = await gatewayFor()
    const { answer } = await startProgram(new URL('child-is-held-up.ts', import.meta.url), {
      args: [gateway.url],
    }).outcome
    expect(answer).toEqual({ connectedAs: gateway.connects[0]?.params.device?.id })
  })

  test.each([1008, 4001])('a close with %i and no answer is final', async code => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'close', code, reason: 'go' }) })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'ADMISSION_REFUSED',
    )
    expect(detail).toMatchObject({ closeCode: code, reason: 'go', code: null, refusal: null })
    expect(gateway.connects).toHaveLength(1)
  })

  test.each([1000, 1001, 1011, 1012, 1013])(
    'F77: a close with %i and no answer is tried again, then told',
    async code => {
      const gateway = await gatewayFor({
        answer: (_, nth) => (nth < 2 ? { kind: 'close', code, reason: '' } : { kind: 'hello' }),
      })
      await (await connectToGateway({ identity, url: gateway.url, ...WISH })).close()
      const never = await gatewayFor({ answer: () => ({ kind: 'close', code, reason: 'why' }) })
      const { detail } = await failureOf(
        connectToGateway({ identity, url: never.url, ...WISH, ...atOnce }),
        'GATEWAY_HUNG_UP',
      )
      expect(detail).toMatchObject({ closeCode: code, reason: 'why', step: 'hello' })
    },
  )

  test('a socket that is cut without a close is tried again, then told as 1006', async () => {
    const gateway = await gatewayFor({ answer: (_, nth) => (nth < 2 ? { kind: 'cut' } : { kind: 'hello' }) })
    await (await connectToGateway({ identity, url: gateway.url, ...WISH })).close()
    const never = await gatewayFor({ answer: () => ({ kind: 'cut' }) })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: never.url, ...WISH, ...atOnce }),
      'GATEWAY_HUNG_UP',
    )
    expect(detail.closeCode).toBe(1006)
  })

  test('F65: a hello with fewer scopes than asked rejects with the missing ones and leaves no socket', async () => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'hello', scopes: ['operator.read'] }) })
    const scopes = ['operator.admin', 'operator.read', 'operator.write']
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH, scopes }),
      'SCOPES_MISSING',
    )
    expect(detail).toMatchObject({
      missing: ['operator.admin', 'operator.write'],
      granted: ['operator.read'],
      asked: scopes,
    })
    await until(() => gateway.sockets().length === 0)
    expect(gateway.connects).toHaveLength(1)
  })

  test('a hello that does not say what was given is no hello of the gateway that left a note', async () => {
    const directory = await freshDirectory()
    await openIdentity({ directory })
    const gateway = await gatewayFor({ answer: () => ({ kind: 'bare-hello', payload: {} }) })
    await gateway.leaveNote(directory)
    await failureOf(connectToGateway({ directory, ...WISH, ...atOnce }), 'PROTOCOL_UNEXPECTED')
    await until(() => gateway.sockets().length === 0)
  })
})

describe('hellos of other gateways', () => {
  const server = { version: '2026.4.8', connId: 'c-1' }

  test.each([
    ['no auth', { server }],
    ['an auth without scopes', { server, auth: { deviceToken: 'x', role: 'operator' } }],
    ['an auth without a role', { server, auth: { scopes: ['operator.read'] } }],
  ])('%s is taken for what was asked', async (_, payload) => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'bare-hello', payload }) })
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH })
    expect(connection).toMatchObject({ connectionId: 'c-1', scopes: ['operator.read'] })
    await connection.close()
  })

  test('an empty one as well; the connection then has no id', async () => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'bare-hello', payload: {} }) })
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH })
    expect(connection.connectionId).toBeNull()
    await connection.close()
  })

  test.each([
    ['another role', { role: 'node', scopes: ['operator.read'] }],
    ['scopes that are no list', { role: 'operator', scopes: 'operator.read' }],
    ['scopes with an escape', { role: 'operator', scopes: ['operator.read', '\u001b[2J'] }],
  ])('%s is no hello', async (_, auth) => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'bare-hello', payload: { server, auth } }) })
    await failureOf(connectToGateway({ identity, url: gateway.url, ...WISH }), 'PROTOCOL_UNEXPECTED')
    await until(() => gateway.sockets().length === 0)
  })

  test('F65: empty scopes for a wish are too little, and no wish is served by any', async () => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'hello', scopes: [] }) })
    await failureOf(connectToGateway({ identity, url: gateway.url, ...WISH }), 'SCOPES_MISSING')
    const nothing = { identity, url: gateway.url, ...WISH, scopes: [] }
    await (await connectToGateway(nothing)).close()
  })

  // OpenClaw 2026.2 names what the device was given, and 2026.4 what its token is good for.
  test.each([
    [['operator.admin'], ['operator.read']],
    [['operator.write'], ['operator.read']],
    [['operator.admin', 'operator.read', 'operator.write'], ['operator.pairing']],
    [['operator.read', 'operator.unheard-of'], ['operator.unheard-of']],
  ])('%j covers %j', async (given, scopes) => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'hello', scopes: given }) })
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH, scopes })
    expect(connection.scopes).toEqual(scopes)
    await connection.close()
  })

  test.each([
    [['operator.read'], ['operator.write']],
    [['operator.write'], ['operator.pairing']],
    [['operator.admin'], ['operator.unheard-of']],
  ])('F65: %j does not cover %j', async (given, scopes) => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'hello', scopes: given }) })
    const asking = connectToGateway({ identity, url: gateway.url, ...WISH, scopes })
    const { detail } = await failureOf(asking, 'SCOPES_MISSING')
    expect(detail).toMatchObject({ granted: given, missing: scopes })
  })
})

describe('the older signed string', () => {
  const unknown: Answer = {
    kind: 'foreign-error',
    error: { code: 'INVALID_REQUEST', message: 'device signature invalid' },
  }
  const invalid: Answer = {
    kind: 'foreign-error',
    error: {
      code: 'INVALID_REQUEST',
      message: 'device signature invalid',
      details: { code: 'DEVICE_AUTH_SIGNATURE_INVALID' },
    },
  }
  const families = (connects: readonly SeenConnect[]) => connects.map(({ family }) => family)
  const onlyV2 =
    (no: Answer) =>
    ({ family }: SeenConnect): Answer =>
      family === 'openclaw-v2' ? { kind: 'hello' } : no

  test.each([
    ['an answer without a code of its own', unknown],
    ['a signature that it calls invalid', invalid],
  ])('is tried once after %s, and kept when coming back', async (_, no) => {
    const gateway = await gatewayFor({ answer: onlyV2(no) })
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH, ...atOnce })
    expect(families(gateway.connects)).toEqual(['openclaw-v3', 'openclaw-v2'])
    const before = connection.connectionId
    gateway.sockets()[0]?.close(1012)
    await until(() => connection.connectionId !== before)
    expect(families(gateway.connects)).toEqual(['openclaw-v3', 'openclaw-v2', 'openclaw-v2'])
    await connection.close()
  })

  test('is not tried a second time: two attempts, and the last answer', async () => {
    const gateway = await gatewayFor({ answer: () => unknown })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'ADMISSION_REFUSED',
    )
    expect(detail).toMatchObject({ code: 'INVALID_REQUEST', reason: 'device signature invalid' })
    expect(families(gateway.connects)).toEqual(['openclaw-v3', 'openclaw-v2'])
  })

  test('is not for a gateway that has taken the present one on this connection', async () => {
    const gateway = await gatewayFor({
      answer: (_, nth) => (nth === 1 ? { kind: 'hello' } : invalid),
    })
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH })
    gateway.sockets()[0]?.close(1012)
    expect((await connection.closed).error).toMatchObject({ code: 'ADMISSION_REFUSED' })
    expect(families(gateway.connects)).toEqual(['openclaw-v3', 'openclaw-v3'])
  })

  test('is not for a gateway of ours: by its refusal, or by its note', async () => {
    const ours = await gatewayFor({
      answer: () => ({ kind: 'refuse', refusal: { code: 'signature-invalid' }, rule: '7' }),
    })
    await failureOf(connectToGateway({ identity, url: ours.url, ...WISH }), 'ADMISSION_REFUSED')
    expect(families(ours.connects)).toEqual(['openclaw-v3'])
    const directory = await freshDirectory()
    await openIdentity({ directory })
    const stranger = await gatewayFor({ answer: () => unknown })
    await stranger.leaveNote(directory)
    await failureOf(connectToGateway({ directory, ...WISH }), 'ADMISSION_REFUSED')
    expect(families(stranger.connects)).toEqual(['openclaw-v3'])
  })

  test.each(['AUTH_TOKEN_MISSING', 'PAIRING_REQUIRED', 'DEVICE_AUTH_NONCE_MISMATCH'])(
    'is not the answer to %s',
    async code => {
      const error = { code: 'INVALID_REQUEST', message: 'no', details: { code } }
      const gateway = await gatewayFor({ answer: () => ({ kind: 'foreign-error', error }) })
      await failureOf(connectToGateway({ identity, url: gateway.url, ...WISH }), 'ADMISSION_REFUSED')
      expect(gateway.connects).toHaveLength(1)
    },
  )

  test('with a dead token beside it costs four attempts at most', async () => {
    const mismatch: Answer = {
      kind: 'foreign-error',
      error: { code: 'INVALID_REQUEST', message: 'no', details: { code: 'AUTH_TOKEN_MISMATCH' } },
    }
    const gateway = await gatewayFor({
      answer: ({ family, params }) =>
        family === 'openclaw-v2' && params.auth.token !== null ? mismatch : unknown,
    })
    const directory = await freshDirectory()
    await openIdentity({ directory })
    await publishOnce(locateState({ directory }), 'gateway-token/token', Buffer.from('a-dead-gateway-token'))
    await failureOf(connectToGateway({ directory, url: gateway.url, ...WISH }), 'ADMISSION_REFUSED')
    expect(families(gateway.connects)).toEqual(['openclaw-v3', 'openclaw-v2', 'openclaw-v2', 'openclaw-v2'])
  })
})

describe('odd answers', () => {
  test.each([
    ['text', 'hello?'],
    ['another event', '{"type":"event","event":"tick"}'],
    ['a challenge without time', '{"type":"event","event":"connect.challenge","payload":{"nonce":"n"}}'],
  ])('%s in the place of a challenge is no gateway', async (_, opening) => {
    const gateway = await gatewayFor({ opening })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'PROTOCOL_UNEXPECTED',
    )
    expect(detail.step).toBe('challenge')
    expect(gateway.connects).toHaveLength(0)
  })

  test.each([
    ['broken JSON', '{"type":"res",'],
    ['a binary message', Buffer.from('{"type":"res","id":"connect","ok":true}')],
  ])('%s in the place of hello is no gateway', async (_, text) => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'send', text }) })
    const { detail } = await failureOf(
      connectToGateway({ identity, url: gateway.url, ...WISH }),
      'PROTOCOL_UNEXPECTED',
    )
    expect(detail.step).toBe('hello')
  })

  test('an answer to somebody else is not taken for ours', async () => {
    const text = '{"type":"res","id":"other","ok":true,"payload":{}}'
    const gateway = await gatewayFor({ answer: () => ({ kind: 'send', text }) })
    const options = { identity, url: gateway.url, ...WISH, ...atOnce, handshakeTimeoutMs: 200 }
    const { detail } = await failureOf(connectToGateway(options), 'HANDSHAKE_TIMEOUT')
    expect(detail).toMatchObject({ step: 'hello', limitMs: 200 })
    await until(() => gateway.sockets().length === 0)
  })

  test('a gateway that says nothing at all ends in a typed error that names the step', async () => {
    const gateway = await gatewayFor({ opening: null })
    const options = { identity, url: gateway.url, ...WISH, ...atOnce, handshakeTimeoutMs: 200 }
    const { detail } = await failureOf(connectToGateway(options), 'HANDSHAKE_TIMEOUT')
    expect(detail.step).toBe('challenge')
  })

  test.each([
    ['HTTP 404', 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.9\r\n'],
  ])('%s is no gateway', async (_, answer) => {
    const server = createPlainServer(socket => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(answer))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { detail } = await failureOf(connectToGateway({ identity, url, ...WISH }), 'PROTOCOL_UNEXPECTED')
    expect(detail.step).toBe('dial')
  })

  test('a wish that the protocol cannot say is refused here, and leaves no socket', async () => {
    const gateway = await gatewayFor()
    const options = { identity, url: gateway.url, ...WISH, scopes: ['Admin|all'] }
    await expect(connectToGateway(options)).rejects.toMatchObject({ code: 'WISH_INVALID' })
    expect(gateway.connects).toHaveLength(0)
    await until(() => gateway.sockets().length === 0)
  })
})

describe('finding identity and gateway', () => {
  test('never creates an identity', async () => {
    const directory = join(await freshDirectory(), 'state')
    const url = (await gatewayFor()).url
    const { detail } = await failureOf(connectToGateway({ directory, url, ...WISH }), 'IDENTITY_MISSING')
    expect(detail.path).toContain(directory)
    await expect(readdir(directory)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('an absent note is waited for, within the bound', async () => {
    const directory = await freshDirectory()
    await openIdentity({ directory })
    const bounded = connectToGateway({ directory, ...WISH, connectTimeoutMs: 100 })
    const { detail } = await failureOf(bounded, 'GATEWAY_NOT_FOUND')
    expect(detail.path).toBe(join(directory, 'gateway.json'))
    const waiting = connectToGateway({ directory, ...WISH })
    const gateway = await gatewayFor()
    await gateway.leaveNote(directory)
    await (await waiting).close()
    expect(gateway.connects).toHaveLength(1)
  })

  test('a stale note is waited out until another one names a gateway that answers', async () => {
    const directory = await freshDirectory()
    await openIdentity({ directory })
    const gone = await gatewayFor()
    await gone.leaveNote(directory)
    await gone.stop()
    const bounded = connectToGateway({ directory, ...WISH, connectTimeoutMs: 100 })
    const { detail } = await failureOf(bounded, 'GATEWAY_UNREACHABLE')
    expect(detail.source).toBe('note')
    const waiting = connectToGateway({ directory, ...WISH })
    const gateway = await gatewayFor()
    await gateway.leaveNote(directory)
    await (await waiting).close()
  })

  test('a stranger on the port of a stale note is waited out, too', async () => {
    const directory = await freshDirectory()
    const { id } = await openIdentity({ directory })
    const stranger = await gatewayFor({ status: 404 })
    await stranger.leaveNote(directory)
    const waiting = connectToGateway({ directory, ...WISH })
    const gateway = await gatewayFor()
    await gateway.leaveNote(directory)
    const connection = await waiting
    expect(connection.deviceId).toBe(id)
    await connection.close()
  })

  test("another gateway's note is not followed", async () => {
    const directory = await freshDirectory()
    await openIdentity({ directory })
    const gateway = await gatewayFor()
    await gateway.leaveNote(directory)
    const { detail } = await failureOf(
      connectToGateway({ directory, gatewayId: identity.id, ...WISH }),
      'GATEWAY_UNEXPECTED',
    )
    expect(detail).toMatchObject({ expected: identity.id, found: GATEWAY_ID })
    expect(gateway.connects).toHaveLength(0)
    await (await connectToGateway({ directory, gatewayId: GATEWAY_ID, ...WISH })).close()
  })

  test.each([
    ['no install', {}],
    ['an http url', { identity, url: 'http://127.0.0.1:1' }],
    ['a url with credentials', { identity, url: 'ws://a:b@127.0.0.1:1' }],
    ['an identity in memory without a url', { identity }],
    ['a token with a blank', { identity, url: 'ws://127.0.0.1:1', token: 'a b' }],
    ['another protocol', { identity, url: 'ws://127.0.0.1:1', protocol: 'holdfast/2' as 'openclaw' }],
  ])('%s is a mistake of the caller', async (_, options) => {
    await expect(connectToGateway({ ...WISH, ...options })).rejects.toBeInstanceOf(TypeError)
  })
})

describe('aborting', () => {
  const reason = new Error('enough')

  test('before the start: nothing is dialled', async () => {
    const gateway = await gatewayFor()
    const signal = AbortSignal.abort(reason)
    await expect(connectToGateway({ identity, url: gateway.url, ...WISH, signal })).rejects.toBe(reason)
    expect(gateway.connects).toHaveLength(0)
  })

  test('while waiting for a note', async () => {
    const directory = await freshDirectory()
    await openIdentity({ directory })
    const abort = new AbortController()
    const waiting = connectToGateway({ directory, ...WISH, signal: abort.signal })
    abort.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })

  test.each([
    ['the challenge', { opening: null }],
    ['hello', { answer: () => ({ kind: 'silence' }) as const }],
  ])('while waiting for %s: the socket is cut', async (_, script) => {
    const gateway = await gatewayFor(script)
    const abort = new AbortController()
    const waiting = connectToGateway({ identity, url: gateway.url, ...WISH, signal: abort.signal })
    waiting.catch(() => undefined)
    await until(() => gateway.sockets().length === 1)
    abort.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await until(() => gateway.sockets().length === 0)
  })
})
