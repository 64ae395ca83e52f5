import { createEphemeralIdentity } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { failureOf, gatewayFor, WISH } from './surroundings.ts'

const identity = createEphemeralIdentity()
const PRINTABLE = /^[\x20-\x7e]*$/
const ESCAPE = '\u001b[2J\u001b]0;mine\u0007\u202e'

describe('texts of a gateway that could steer a terminal, or fill it', () => {
  test.each([
    ['an escape', `connection${ESCAPE}`],
    ['4,000 characters', 'x'.repeat(4_000)],
  ])('a connection id with %s is not handed on', async (_, connId) => {
    const gateway = await gatewayFor({ answer: () => ({ kind: 'hello', connId }) })
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH })
    expect(connection.connectionId).toBeNull()
    await connection.close()
  })

  test('the error of a call is short and printable, in its facts and in its message', async () => {
    const error = { code: ESCAPE.repeat(50), message: `no${ESCAPE}${'A'.repeat(1_000_000)}` }
    const gateway = await gatewayFor({
      call: (_, __, ws, id) => void ws.send(JSON.stringify({ type: 'res', id, ok: false, error })),
    })
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH })
    const failure = await failureOf(connection.call('do'), 'CALL_FAILED')
    expect(failure.detail.code).toMatch(PRINTABLE)
    expect(failure.detail.code.length).toBeLessThanOrEqual(64)
    expect(failure.detail.message).toMatch(PRINTABLE)
    expect(failure.detail.message).toMatch(/^no\?/)
    expect(failure.detail.message.length).toBeLessThanOrEqual(200)
    expect(failure.message).toMatch(PRINTABLE)
    expect(failure.message.length).toBeLessThan(500)
    await connection.close()
  })

  test('so is the reason of a close, wherever it is told', async () => {
    const reason = `gone${ESCAPE}`
    const gateway = await gatewayFor({ call: (_, __, ws) => void ws.close(4001, reason) })
    const connection = await connectToGateway({ identity, url: gateway.url, ...WISH })
    await failureOf(connection.call('leave'), 'CONNECTION_LOST')
    const end = await connection.closed
    expect(end.reason).toMatch(PRINTABLE)
    expect(end.reason).toMatch(/^gone\?/)
    const closed = await failureOf(connection.call('again'), 'CONNECTION_CLOSED')
    expect(closed.message).toMatch(PRINTABLE)
    expect(closed.detail.reason).toBe(end.reason)
  })

  test('and of one that comes back as lost', async () => {
    const gateway = await gatewayFor({ call: (_, __, ws) => void ws.close(1012, `soon${ESCAPE}`) })
    const reasons: string[] = []
    const connection = await connectToGateway({
      identity,
      url: gateway.url,
      ...WISH,
      onLifecycle: notice => {
        if (notice.kind === 'lost') reasons.push(notice.reason)
      },
    })
    await failureOf(connection.call('leave'), 'CONNECTION_LOST')
    await connection.close()
    expect(reasons).toEqual([expect.stringMatching(/^soon\?[\x20-\x7e]*$/)])
  })

  test('and a refusal', async () => {
    const error = { code: 'NO', message: `no${ESCAPE}${'A'.repeat(10_000)}` }
    const text = JSON.stringify({ type: 'res', id: 'connect', ok: false, error })
    const answers = [
      { kind: 'send', text },
      { kind: 'close', code: 1008, reason: `no${ESCAPE}` },
    ] as const
    for (const answer of answers) {
      const { url } = await gatewayFor({ answer: () => answer })
      const { detail, message } = await failureOf(
        connectToGateway({ identity, url, ...WISH }),
        'ADMISSION_REFUSED',
      )
      expect(detail.reason).toMatch(/^no\?[\x20-\x7e]*$/)
      expect(detail.reason.length).toBeLessThanOrEqual(200)
      expect(message).toMatch(PRINTABLE)
    }
  })
})
