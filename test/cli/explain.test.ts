import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createEphemeralIdentity, openIdentity, parseDeviceId } from '@holdfast/identity'
import { connectToGateway } from '@holdfast/spawner'
import { expect, onTestFinished, test } from 'vitest'
import { programPath } from '../support/processes.ts'
import { eventually, holdfast, holdfastJson, startGatewayProcess, temporaryFolder } from './holdfast.ts'

const MAIN = programPath(new URL('../../packages/cli/src/main.ts', import.meta.url))

interface Explained {
  readonly event: { readonly event: string; readonly rule: string }
  readonly explanation: {
    readonly rule: string
    readonly rules: readonly { readonly rule: string; readonly answer: string }[]
    readonly asked: Readonly<Record<string, unknown>>
    readonly known: Readonly<Record<string, unknown>>
  }
  readonly change: string
}

const explained = (stateDir: string, id: string) =>
  eventually(
    () => holdfast(['explain', id, '--state-dir', stateDir, '--json']),
    ({ exitCode }) => exitCode === 0,
  ).then(({ answer }) => answer as Explained)

test('explain says of a connection and of a request which rule decided, on what, and the command that changes it; watch shows them and answers', async () => {
  const stateDir = join(temporaryFolder(), 'state')
  const { gatewayId, url } = await startGatewayProcess(stateDir, '--ceiling', 'operator.read')
  const identity = await openIdentity({ directory: stateDir })
  const words = ['--conditions=source', MAIN, 'watch', '--json', '--state-dir', stateDir]
  const watching = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void watching.kill('SIGKILL'))
  const lines: string[] = []
  watching.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(...text.split('\n')))

  const pinned = parseDeviceId(gatewayId) ?? undefined
  const wish = { identity, role: 'operator', reconnect: false } as const
  const connection = await connectToGateway({ ...wish, scopes: ['operator.read'] })
  await connection.close()
  const admitted = await explained(stateDir, connection.connectionId ?? '')
  expect(admitted).toMatchObject({
    event: { event: 'admitted', rule: '10', deviceId: identity.id },
    explanation: {
      rule: '10',
      asked: {
        role: 'operator',
        scopes: ['operator.read'],
        credential: 'gateway-token',
        proof: 'holdfast/1',
      },
      known: { ceiling: ['operator.read'], device: 'unknown' },
    },
    change: expect.stringContaining(`holdfast narrow ${identity.id} --role operator --scopes none`),
  })
  expect(admitted.explanation.rules.slice(0, -1).map(({ answer }) => answer)).toEqual(Array(9).fill('no'))

  await expect(connectToGateway({ ...wish, scopes: ['operator.admin'] })).rejects.toMatchObject({
    detail: { refusal: 'pairing-required' },
  })
  const { requests } = await holdfastJson<{ requests: { requestId: string }[] }>(stateDir, 'requests')
  const requestId = requests[0]?.requestId ?? ''
  const asked = await explained(stateDir, requestId)
  expect(asked).toMatchObject({ explanation: { rule: '12', outcome: 'ask' } })
  expect(asked.change).toContain(`holdfast approve ${requestId}`)

  const stranger = { identity: createEphemeralIdentity(), url, token: 'x'.repeat(43) }
  await expect(
    connectToGateway({
      ...wish,
      ...stranger,
      gatewayId: pinned,
      scopes: ['operator.read'],
      connectTimeoutMs: 0,
    }),
  ).rejects.toThrow()

  // The number of the view is bound to what it showed.
  await eventually(
    () => lines,
    all => all.some(line => line.includes(requestId) && line.includes('"number"')),
  )
  watching.stdin.write('approve 1\n')
  await eventually(
    () => lines,
    all => all.some(line => line.includes('"approved"')),
  )
  await (await connectToGateway({ ...wish, scopes: ['operator.admin'] })).close()
  await eventually(
    () => lines,
    all =>
      all.some(line => line.includes('"token-mismatch"')) && all.some(line => line.includes('"rule":"9"')),
  )
  expect(lines.join('\n')).not.toContain('x'.repeat(43))

  const text = await holdfast(['explain', requestId, '--state-dir', stateDir])
  expect(text.stdout).toMatch(/^-> rule 12 .* a person must approve operator\.admin \(scope-upgrade\)$/m)
  expect(text.stdout).toContain(`To change it: holdfast approve ${requestId} --state-dir`)
  const unknown = await holdfast(['explain', requestId.slice(0, 8), '--state-dir', stateDir, '--json'])
  expect(unknown.answer).toMatchObject({ error: { code: 'DECISION_UNKNOWN' } })
})
