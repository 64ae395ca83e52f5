import { openIdentity } from '@holdfast/identity'
import { locateState, publishOnce } from '@holdfast/identity/state'
import { connectToGateway } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import type { Answer, SeenConnect } from './scripted-gateway.ts'
import { failureOf, freshDirectory, gatewayFor, until, WISH } from './surroundings.ts'

const CODE = 'hfj_0123456789abcdefghijklmnopqr'
const HELLO: Answer = { kind: 'hello' }
const INVALID: Answer = { kind: 'refuse', refusal: { code: 'join-code-invalid' }, rule: '3' }

const shown = (connects: readonly SeenConnect[]): (readonly (string | null)[])[] =>
  connects.map(({ params }) => [params.auth.bootstrapToken, params.auth.token])

async function install(): Promise<string> {
  const directory = await freshDirectory()
  await openIdentity({ directory })
  return directory
}

describe('a join code', () => {
  test('is shown instead of a token, and is part of what is signed', async () => {
    const directory = await install()
    await publishOnce(
      locateState({ directory }),
      'gateway-token/token',
      Buffer.from('a-token-0123456789abcdef'),
    )
    const gateway = await gatewayFor({ answer: () => HELLO })
    await gateway.leaveNote(directory)
    await (await connectToGateway({ directory, joinCode: CODE, ...WISH })).close()
    expect(shown(gateway.connects)).toEqual([[CODE, null]])
    expect(gateway.connects[0]?.verdict).toBe('verified')
  })

  test('is not shown again once the device has joined: its key is enough to come back', async () => {
    const directory = await install()
    const gateway = await gatewayFor({ answer: () => HELLO })
    const { url } = gateway
    const connection = await connectToGateway({ directory, url, joinCode: CODE, ...WISH })
    for (const socket of gateway.sockets()) socket.terminate()
    await until(() => gateway.connects.length === 2)
    expect(shown(gateway.connects)).toEqual([
      [CODE, null],
      [null, null],
    ])
    await connection.close()
  })

  test('that is refused makes way for the key alone, once', async () => {
    const directory = await install()
    const answer = ({ params }: SeenConnect): Answer =>
      params.auth.bootstrapToken === null ? HELLO : INVALID
    const known = await gatewayFor({ answer })
    await (await connectToGateway({ directory, url: known.url, joinCode: CODE, ...WISH })).close()
    expect(shown(known.connects)).toEqual([
      [CODE, null],
      [null, null],
    ])
    const closed = await gatewayFor({ answer: () => INVALID })
    const error = await failureOf(
      connectToGateway({ directory, url: closed.url, joinCode: CODE, ...WISH }),
      'ADMISSION_REFUSED',
    )
    expect(error.detail.credential).toBe('none')
    expect(closed.connects).toHaveLength(2)
    expect(JSON.stringify(error)).not.toContain(CODE)
  })

  test('has an alphabet', async () => {
    const directory = await install()
    for (const joinCode of ['', 'a b', 'a|b', 'ü']) {
      await expect(connectToGateway({ directory, joinCode, ...WISH })).rejects.toBeInstanceOf(TypeError)
    }
  })
})
