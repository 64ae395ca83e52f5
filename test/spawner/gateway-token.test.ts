import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { locateState, publishOnce, replacePrivateFile } from '@holdfast/identity/state'
import { connectToGateway, isSpawnerError } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import type { Answer, SeenConnect } from './scripted-gateway.ts'
import { failureOf, freshDirectory, gatewayFor, until, WISH } from './surroundings.ts'

const OLD = 'old-gateway-token-0123456789abcdef'
const NEW = 'new-gateway-token-0123456789abcdef'
const HELLO: Answer = { kind: 'hello' }
const MISMATCH: Answer = { kind: 'refuse', refusal: { code: 'token-mismatch', deviceKnown: true }, rule: '3' }
const MISMATCH_OF_STRANGER: Answer = { kind: 'refuse', refusal: { code: 'token-mismatch' }, rule: '3' }
const UNPAIRED: Answer = {
  kind: 'refuse',
  rule: '12',
  refusal: {
    code: 'pairing-required',
    requestId: 'request-1',
    missing: [],
    reason: 'not-paired',
    expiresAtMs: 1,
  },
}

/** An install with an identity and this gateway token. */
async function installWith(token: string): Promise<string> {
  const directory = await freshDirectory()
  await openIdentity({ directory })
  await publishOnce(locateState({ directory }), 'gateway-token/token', Buffer.from(`${token}\n`))
  return directory
}

const rotate = (directory: string, token: string): Promise<boolean> =>
  replacePrivateFile(locateState({ directory }), 'gateway-token/token', Buffer.from(token))

const shown = (connects: readonly SeenConnect[]): (string | null)[] =>
  connects.map(({ params }) => params.auth.token)

/** A gateway that knows the device, whose token is `current`. */
const accepting =
  (current: string) =>
  ({ params }: SeenConnect): Answer =>
    params.auth.token === null || params.auth.token === current ? HELLO : MISMATCH

describe('which token is shown', () => {
  test('the one in the state directory, and it is part of what is signed', async () => {
    const directory = await installWith(NEW)
    const gateway = await gatewayFor({ answer: accepting(NEW) })
    await gateway.leaveNote(directory)
    await (await connectToGateway({ directory, ...WISH })).close()
    expect(shown(gateway.connects)).toEqual([NEW])
    expect(gateway.connects[0]?.verdict).toBe('verified')
  })

  // Linux takes 0.0.0.0 for itself, which stands in for an address that is not loopback.
  test.skipIf(process.platform !== 'linux')(
    'not the one in the state directory, to a url elsewhere',
    async () => {
      const directory = await installWith(NEW)
      const gateway = await gatewayFor()
      const url = gateway.url.replace('127.0.0.1', '0.0.0.0')
      await (await connectToGateway({ directory, url, ...WISH })).close()
      await (await connectToGateway({ directory, url, token: NEW, ...WISH })).close()
      await (await connectToGateway({ directory, url: gateway.url, ...WISH })).close()
      expect(shown(gateway.connects)).toEqual([null, NEW, NEW])
    },
  )

  test("the caller's own, before that", async () => {
    const directory = await installWith(OLD)
    const gateway = await gatewayFor({ answer: accepting(NEW) })
    await (await connectToGateway({ directory, url: gateway.url, token: NEW, ...WISH })).close()
    expect(shown(gateway.connects)).toEqual([NEW])
  })

  test.skipIf(process.getuid?.() === undefined)(
    'a file that others can read is not used, and said so',
    async () => {
      const directory = await installWith(NEW)
      await chmod(join(directory, 'gateway-token', 'token'), 0o644)
      const gateway = await gatewayFor()
      await expect(connectToGateway({ directory, url: gateway.url, ...WISH })).rejects.toMatchObject({
        code: 'KEY_FILE_EXPOSED',
        detail: { fix: expect.stringContaining('chmod ') },
      })
      expect(gateway.connects).toHaveLength(0)
    },
  )

  test.each([
    ['a byte order mark', `\uFEFF${NEW}`],
    ['two line ends', `${NEW}\n\n`],
    ['a blank behind it', `${NEW} `],
    ['all of these', `\uFEFF\r\n\t ${NEW} \r\n\r\n`],
  ])('the same from a file with %s around it', async (_, text) => {
    const directory = await installWith(NEW)
    await writeFile(join(directory, 'gateway-token', 'token'), text)
    const gateway = await gatewayFor({ answer: accepting(NEW) })
    await gateway.leaveNote(directory)
    await (await connectToGateway({ directory, ...WISH })).close()
    expect(shown(gateway.connects)).toEqual([NEW])
  })

  test('an empty file keeps the device out, and the error names the command that helps', async () => {
    const directory = await installWith(NEW)
    await writeFile(join(directory, 'gateway-token', 'token'), '')
    const gateway = await gatewayFor()
    const connecting = connectToGateway({ directory, url: gateway.url, ...WISH })
    const { detail } = await failureOf(connecting, 'GATEWAY_TOKEN_UNUSABLE')
    expect(detail.fix).toContain(`holdfast token rotate --state-dir ${directory}`)
    expect(gateway.connects).toHaveLength(0)
  })

  test('a file that holds no token is a typed error, and nothing of it is sent', async () => {
    const directory = await installWith(NEW)
    await writeFile(join(directory, 'gateway-token', 'token'), 'two words\n')
    const gateway = await gatewayFor()
    const connecting = connectToGateway({ directory, url: gateway.url, ...WISH })
    const error = await failureOf(connecting, 'GATEWAY_TOKEN_UNUSABLE')
    expect(JSON.stringify(error.detail)).not.toContain('two words')
  })

  test('no error text holds the token', async () => {
    const directory = await installWith(OLD)
    const gateway = await gatewayFor({
      answer: ({ params }) => (params.auth.token === null ? UNPAIRED : MISMATCH),
    })
    await gateway.leaveNote(directory)
    const error = await failureOf(connectToGateway({ directory, ...WISH }), 'ADMISSION_REFUSED')
    expect(`${error.stack}${JSON.stringify(error)}`).not.toContain(OLD)
  })
})

describe('a token that is refused', () => {
  test('F68: rotated between two attempts: the new one is read and shown, one repair', async () => {
    const directory = await installWith(OLD)
    let rotated: Promise<boolean> | null = null
    const gateway = await gatewayFor({
      answer: seen => {
        if (seen.params.auth.token === OLD) rotated ??= rotate(directory, NEW)
        return accepting(NEW)(seen)
      },
    })
    await gateway.leaveNote(directory)
    await (await connectToGateway({ directory, ...WISH })).close()
    expect(await rotated).toBe(true)
    // The file may change just after the second look; then the key alone is enough, which is the third attempt.
    const attempts = shown(gateway.connects)
    expect(attempts[0]).toBe(OLD)
    expect([NEW, null]).toContain(attempts.at(-1))
    expect(attempts.length).toBeLessThanOrEqual(3)
  })

  test('F68: a dead token does not keep a known device out: the key alone is enough', async () => {
    const directory = await installWith(OLD)
    const gateway = await gatewayFor({ answer: accepting(NEW) })
    await gateway.leaveNote(directory)
    await (await connectToGateway({ directory, ...WISH })).close()
    expect(shown(gateway.connects)).toEqual([OLD, OLD, null])
  })

  test('F70: a dead token of a known device that asks for more costs three attempts, no loop, and ends with the last answer', async () => {
    const directory = await installWith(OLD)
    const gateway = await gatewayFor({
      answer: ({ params }) => (params.auth.token === null ? UNPAIRED : MISMATCH),
    })
    await gateway.leaveNote(directory)
    const error = await failureOf(connectToGateway({ directory, ...WISH }), 'ADMISSION_REFUSED')
    expect(error.detail).toMatchObject({
      refusal: 'pairing-required',
      credential: 'none',
      requestId: 'request-1',
    })
    expect(shown(gateway.connects)).toEqual([OLD, OLD, null])
  })

  test('F55: a stranger with a wrong token is told so, and opens no request by its key', async () => {
    const directory = await installWith(OLD)
    const gateway = await gatewayFor({
      answer: ({ params }) => (params.auth.token === null ? UNPAIRED : MISMATCH_OF_STRANGER),
    })
    await gateway.leaveNote(directory)
    const { detail } = await failureOf(connectToGateway({ directory, ...WISH }), 'ADMISSION_REFUSED')
    expect(detail).toMatchObject({ refusal: 'token-mismatch', deviceKnown: false, requestId: null })
    expect(shown(gateway.connects)).toEqual([OLD, OLD])
    const own = connectToGateway({ directory, url: gateway.url, token: OLD, ...WISH })
    await failureOf(own, 'ADMISSION_REFUSED')
    expect(shown(gateway.connects)).toEqual([OLD, OLD, OLD])
  })

  test("F70: the caller's own dead token is shown once, then the key alone", async () => {
    const directory = await installWith(NEW)
    const gateway = await gatewayFor({ answer: accepting(NEW) })
    await (await connectToGateway({ directory, url: gateway.url, token: OLD, ...WISH })).close()
    expect(shown(gateway.connects)).toEqual([OLD, null])
  })

  test('F70: a gateway that calls even the bare key a wrong token is not asked again', async () => {
    const directory = await installWith(OLD)
    const gateway = await gatewayFor({ answer: () => MISMATCH })
    await gateway.leaveNote(directory)
    await failureOf(connectToGateway({ directory, ...WISH }), 'ADMISSION_REFUSED')
    expect(gateway.connects).toHaveLength(3)
  })

  test('F70: a dead token is not shown again at a reconnection, until it is another one', async () => {
    const directory = await installWith(OLD)
    const gateway = await gatewayFor({ answer: accepting(NEW) })
    await gateway.leaveNote(directory)
    let times = 0
    const connection = await connectToGateway({
      directory,
      ...WISH,
      onLifecycle: notice => {
        if (notice.kind === 'reconnected') times += 1
      },
    })
    for (const ws of gateway.sockets()) ws.close(1012)
    await until(() => times === 1)
    expect(shown(gateway.connects)).toEqual([OLD, OLD, null, null])
    await rotate(directory, NEW)
    for (const ws of gateway.sockets()) ws.close(1012)
    await until(() => times === 2)
    expect(shown(gateway.connects)).toEqual([OLD, OLD, null, null, NEW])
    await connection.close()
  })

  test('the refusal of the token itself is told where the gateway gives no other answer to the bare key', async () => {
    const directory = await installWith(OLD)
    const gateway = await gatewayFor({
      answer: ({ params }) =>
        params.auth.token === null
          ? { kind: 'refuse', refusal: { code: 'device-auth-invalid' }, rule: '7' }
          : MISMATCH,
    })
    await gateway.leaveNote(directory)
    const error: unknown = await connectToGateway({ directory, ...WISH }).catch((reason: unknown) => reason)
    expect(isSpawnerError(error, 'ADMISSION_REFUSED') && error.detail.refusal).toBe('device-auth-invalid')
  })
})
