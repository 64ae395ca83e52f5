import {
  BUILT_IN_ROLES,
  defineRoles,
  type HelloOk,
  parseServerFrame,
  parseWish,
  signGatewayAnswer,
  type Wish,
} from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import type { IssuedToken } from '@holdfast/pairing-store'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type HelloFacts, HelloWriter, SERVER_VERSION } from '../../packages/gateway/src/hello.ts'
import { DEFAULT_LIMITS } from '../../packages/gateway/src/limits.ts'

const identity = createEphemeralIdentity()
const roles = defineRoles(BUILT_IN_ROLES)
const limits = { ...DEFAULT_LIMITS, frameBytes: 12_345, bufferedBytes: 67_890, tickIntervalMs: 1_111 }

function wishOf(role: string, scopes: readonly string[]): Wish {
  const wish = parseWish(roles, role, scopes)
  if (wish === null) throw new TypeError('no wish')
  return wish
}

const wishes = fc.constantFrom(
  wishOf('node', []),
  wishOf('operator', ['operator.read']),
  wishOf('operator', Object.keys(BUILT_IN_ROLES['operator'] ?? {})),
)
const outcome = { transcriptHash: new Uint8Array(32), connectionId: 'c', role: 'operator', scopes: [] }
const facts: fc.Arbitrary<HelloFacts> = fc
  .record({
    wish: wishes,
    protocol: fc.integer({ min: 3, max: 4 }),
    connectionId: fc.uuid(),
    uptimeMs: fc.nat(),
    token: fc.option(fc.record({ token: fc.base64String(), issuedAtMs: fc.nat() })),
    proves: fc.boolean(),
  })
  .map(({ wish, token, proves, ...rest }) => ({
    ...rest,
    ...wish,
    deviceToken: token as IssuedToken | null,
    answer: proves ? signGatewayAnswer(identity, outcome) : null,
  }))
/** What a call id may be made of (quotes and backslashes, too). */
const callIds = fc.stringMatching(/^[\x21-\x7e]{1,128}$/)
const names = fc.array(fc.string())

describe('a hello', () => {
  test('says in JSON all that it was told, and nothing else, whatever the call is named', () => {
    fc.assert(
      fc.property(callIds, facts, names, (id, told, methods) => {
        const text = new HelloWriter({ limits, methods }).write(id, told)
        const payload: HelloOk = {
          type: 'hello-ok',
          protocol: told.protocol,
          server: { version: SERVER_VERSION, connId: told.connectionId },
          features: { methods, events: ['tick'] },
          snapshot: {
            presence: [],
            health: {},
            stateVersion: { presence: 0, health: 0 },
            uptimeMs: told.uptimeMs,
          },
          auth: {
            role: told.role,
            scopes: told.scopes,
            ...(told.deviceToken !== null && {
              deviceToken: told.deviceToken.token,
              issuedAtMs: told.deviceToken.issuedAtMs,
            }),
          },
          policy: { maxPayload: 12_345, maxBufferedBytes: 67_890, tickIntervalMs: 1_111 },
          ...(told.answer !== null && { gateway: told.answer }),
        }
        expect(JSON.parse(text)).toEqual({ type: 'res', id, ok: true, payload })
        expect(parseServerFrame(text)).toEqual({ type: 'res', id, ok: true, payload })
      }),
    )
  })
})
