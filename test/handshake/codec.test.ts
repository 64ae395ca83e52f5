import { parseCall, parseConnect, parseServerFrame, readChallenge } from '@holdfast/handshake'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { connectFrame, type Frame, paramsOf, RUNS } from './connect-frame.ts'

/** Every field there may be, written down apart from the code: `''` is the frame itself. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  '': ['type', 'id', 'method', 'params'],
  params: [
    ...[
      'minProtocol',
      'maxProtocol',
      'client',
      'role',
      'scopes',
      'auth',
      'device',
      'caps',
      'commands',
      'computerUse',
    ],
    ...['workerRuns', 'permissions', 'pathEnv', 'locale', 'userAgent'],
  ],
  client: [
    ...['id', 'mode', 'version', 'platform', 'deviceFamily', 'displayName', 'instanceId'],
    ...['buildId', 'modelIdentifier', 'timeZone'],
  ],
  auth: [
    'token',
    'deviceToken',
    'bootstrapToken',
    'password',
    'approvalRuntimeToken',
    'agentRuntimeIdentityToken',
  ],
  device: ['id', 'publicKey', 'signature', 'signedAt', 'nonce'],
}

const valid = connectFrame()

function partOf(frame: Frame, place: string): Record<string, unknown> {
  if (place === '') return frame
  return place === 'params' ? frame.params : (frame.params[place] as Record<string, unknown>)
}

/** The valid frame with one field set at one place. `__proto__` becomes an own field, as JSON makes it. */
function withField(place: string, key: string, value: unknown): string {
  const frame = structuredClone(valid)
  Object.defineProperty(partOf(frame, place), key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  })
  return JSON.stringify(frame)
}

const places = fc.constantFrom(...Object.keys(KNOWN))
const keys = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', 'Token', 'scope', 'ids', 'TYPE'),
  fc.constantFrom(...Object.values(KNOWN).flat()),
)
const fieldChanges = fc.record({ place: places, key: keys, value: fc.jsonValue() })
const frames = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.json(),
  fieldChanges.map(({ place, key, value }) => withField(place, key, value)),
  fc.nat(JSON.stringify(valid).length).map(at => JSON.stringify(valid).slice(0, at)),
)

describe('whatever a peer sends', () => {
  test('parseConnect, parseCall, parseServerFrame and readChallenge answer and never throw', () => {
    fc.assert(
      fc.property(frames, frame => {
        expect(typeof parseConnect(frame).ok).toBe('boolean')
        expect(parseCall(frame)).toSatisfy(call => call === null || typeof call === 'object')
        const heard = parseServerFrame(frame)
        if (heard !== null) readChallenge(heard)
      }),
      { numRuns: RUNS },
    )
  })

  test('M7: an unknown field anywhere is refused, by a name that is safe to log', () => {
    fc.assert(
      fc.property(
        fieldChanges.filter(({ place, key }) => !KNOWN[place]?.includes(key)),
        ({ place, key, value }) => {
          const reading = parseConnect(withField(place, key, value))
          expect(reading.ok).toBe(false)
          if (!reading.ok && place !== '') {
            expect(reading.problem).toMatchObject({ kind: 'field', problem: 'unknown' })
            expect(reading.problem).toHaveProperty('field', expect.stringMatching(/^[\w.]+(\?|\w)$/))
          }
        },
      ),
      { numRuns: RUNS },
    )
  })

  test('what is accepted has exactly the fields of the type, none of them undefined', () => {
    fc.assert(
      fc.property(fieldChanges, ({ place, key, value }) => {
        const reading = parseConnect(withField(place, key, value))
        if (!reading.ok) return
        const { params } = reading
        if (params.family !== 'openclaw') throw new Error('no proof was named')
        expect(Object.keys(params).sort()).toEqual([
          ...['auth', 'client', 'device', 'family', 'maxProtocol', 'minProtocol', 'role', 'scopes'],
        ])
        expect(Object.keys(params.auth).sort()).toEqual([
          'bootstrapToken',
          'deviceToken',
          'password',
          'token',
        ])
        for (const part of [params, params.client, params.auth, params.device ?? {}]) {
          expect(Object.values(part)).not.toContain(undefined)
        }
      }),
      { numRuns: RUNS },
    )
  })

  test('M10: 200,000 brackets are a refusal like any other', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000)
    expect(parseConnect(deep)).toMatchObject({ ok: false, problem: { kind: 'not-a-request' } })
    expect(parseCall(deep)).toBeNull()
    expect(parseServerFrame(deep)).toBeNull()
    const inside = JSON.stringify(valid).replace('"gateway-secret"', deep)
    expect(parseConnect(inside)).toMatchObject({ ok: false, problem: { field: 'auth.token' } })
  })
})

describe('M7: wrong types and contradictions, field by field', () => {
  test.each([
    ['params', 'scopes', 'operator.read', 'params.scopes'],
    ['params', 'scopes', { 0: 'operator.read' }, 'params.scopes'],
    ['params', 'scopes', ['operator.read', null], 'params.scopes'],
    ['params', 'scopes', [' operator.read'], 'params.scopes'],
    ['params', 'scopes', ['*'], 'params.scopes'],
    ['params', 'scopes', Array.from({ length: 33 }, (_, i) => `s${i}`), 'params.scopes'],
    ['params', 'scopes', ['x'.repeat(65)], 'params.scopes'],
    ['params', 'scopes', null, 'params.scopes'],
    ['params', 'role', null, 'params.role'],
    ['params', 'role', 'operator|', 'params.role'],
    ['params', 'client', null, 'params.client'],
    ['params', 'client', 'cli', 'client'],
    ['params', 'auth', null, 'params.auth'],
    ['params', 'auth', [], 'auth'],
    ['params', 'device', null, 'params.device'],
    ['params', 'device', false, 'device'],
    ['params', 'minProtocol', '3', 'params.minProtocol'],
    ['params', 'minProtocol', 3.5, 'params.minProtocol'],
    ['params', 'minProtocol', 5, 'params.minProtocol'],
    ['params', 'maxProtocol', 0, 'params.maxProtocol'],
    ['auth', 'token', ['gateway-secret'], 'auth.token'],
    ['auth', 'token', 7, 'auth.token'],
    ['auth', 'token', null, 'auth.token'],
    ['auth', 'token', 'a|b', 'auth.token'],
    ['auth', 'token', 'x'.repeat(513), 'auth.token'],
    ['device', 'signedAt', '1767225600000', 'device.signedAt'],
    ['device', 'signedAt', 1.5, 'device.signedAt'],
    ['device', 'signedAt', 1e308, 'device.signedAt'],
    ['device', 'signedAt', -1, 'device.signedAt'],
    ['device', 'publicKey', null, 'device.publicKey'],
    ['device', 'nonce', null, 'device.nonce'],
    ['client', 'platform', 'a|b', 'client.platform'],
    ['client', 'platform', 'ÄX', 'client.platform'],
    ['client', 'platform', undefined, 'client.platform'],
    ['client', 'deviceFamily', 'b|', 'client.deviceFamily'],
    ['client', 'id', 'my lib', 'client.id'],
  ])('H3 H14: %s.%s = %j', (place, key, value, field) => {
    const reading = parseConnect(withField(place, key, value))
    expect(reading).toEqual({ ok: false, id: '1', problem: { kind: 'field', field, problem: 'invalid' } })
  })

  test('an own __proto__ is an unknown field, and pollutes nothing', () => {
    for (const place of Object.keys(KNOWN)) {
      expect(parseConnect(withField(place, '__proto__', { role: 'admin' })).ok).toBe(false)
    }
    expect(Object.hasOwn(Object.prototype, 'role')).toBe(false)
  })

  test('of a doubled key the last counts, for what is read and what is verified alike', () => {
    const doubled = JSON.stringify(valid).replace('"scopes":', '"scopes":["operator.admin"],"scopes":')
    expect(parseConnect(doubled)).toMatchObject({
      ok: true,
      params: { scopes: ['operator.read', 'operator.write'] },
    })
  })

  test('H3: names of a prototype are no scopes of the table, but well-formed', () => {
    expect(paramsOf(connectFrame({ scopes: ['__proto__', 'constructor'] })).scopes).toHaveLength(2)
  })
})

describe('what is no connect', () => {
  test.each([
    ['', { kind: 'not-json' }, null],
    ['{', { kind: 'not-json' }, null],
    ['\ufeff{}', { kind: 'not-json' }, null],
    ['null', { kind: 'not-a-request' }, null],
    ['[]', { kind: 'not-a-request' }, null],
    ['{}', { kind: 'not-a-request' }, null],
    ['{"type":"req","id":"7"}', { kind: 'not-a-request' }, '7'],
    ['{"type":"req","method":"connect","params":{}}', { kind: 'not-a-request' }, null],
    ['{"type":"req","id":7,"method":"connect"}', { kind: 'not-a-request' }, null],
    ['{"type":"req","id":"7","method":"health"}', { kind: 'not-connect' }, '7'],
    [
      '{"type":"req","id":"7","method":"connect"}',
      { kind: 'field', field: 'params', problem: 'invalid' },
      '7',
    ],
  ])('%s', (frame, problem, id) => {
    expect(parseConnect(frame)).toEqual({ ok: false, id, problem })
  })
})

describe('what may be left out', () => {
  test('role, scopes, auth and device have the defaults of the protocol', () => {
    const { role: _r, scopes: _s, auth: _a, device: _d, ...rest } = valid.params
    const params = paramsOf({ ...valid, params: rest })
    expect(params).toMatchObject({ role: 'operator', scopes: [], device: null })
    expect(params.auth).toEqual({ token: null, deviceToken: null, bootstrapToken: null, password: null })
  })

  test('an empty credential or nonce is none', () => {
    const params = paramsOf(JSON.parse(withField('auth', 'token', '')) as Frame)
    expect(params.auth.token).toBeNull()
    expect(paramsOf(JSON.parse(withField('device', 'nonce', '')) as Frame).device?.nonce).toBeNull()
  })

  test('fields that real clients send beside these are taken, and dropped', () => {
    const params = paramsOf(JSON.parse(withField('params', 'caps', ['x'])) as Frame)
    expect(params).not.toHaveProperty('caps')
  })
})

describe('frames from a gateway', () => {
  test('fields that we do not know are not handed on', () => {
    const heard = parseServerFrame('{"type":"event","event":"tick","payload":{"a":1},"seq":4}')
    expect(heard).toEqual({ type: 'event', event: 'tick', payload: { a: 1 } })
  })

  test('an error without code or message still is one', () => {
    const heard = parseServerFrame('{"type":"res","id":"1","ok":false}')
    expect(heard).toMatchObject({ ok: false, error: { code: 'UNKNOWN' } })
  })

  test.each(['1e999', '-1', '"5"', 'null'])('a wait of %s is no wait', wait => {
    const heard = parseServerFrame(
      `{"type":"res","id":"1","ok":false,"error":{"code":"X","message":"y","retryAfterMs":${wait}}}`,
    )
    expect(heard).toEqual({ type: 'res', id: '1', ok: false, error: { code: 'X', message: 'y' } })
  })

  test.each([
    [
      '{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":5,"capabilities":[]}}',
      { nonce: 'n', ts: 5 },
    ],
    ['{"type":"event","event":"connect.challenge","payload":{"nonce":"a|b","ts":5}}', null],
    ['{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":"5"}}', null],
    ['{"type":"event","event":"connect.challenge","payload":null}', null],
    ['{"type":"event","event":"tick","payload":{"nonce":"n","ts":5}}', null],
  ])('H2: %s', (frame, challenge) => {
    const heard = parseServerFrame(frame)
    expect(heard && readChallenge(heard)).toEqual(challenge)
  })
})
