import { once } from 'node:events'
import { createEphemeralIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import {
  attempt,
  conclude,
  connectFrame,
  dial,
  sendBytes,
  takeChallenge,
  upgradeRequest,
} from '../gateway/raw-client.ts'
import { startProgram } from '../support/processes.ts'
import { eventually, holdfast, startGatewayProcess, temporaryFolder } from './holdfast.ts'

const MAIN = new URL('../../packages/cli/src/main.ts', import.meta.url)

/** Clears the screen, renames the window, forges a line, turns the text around, opens a tag: by C0, C1 and Unicode. */
const HOSTILE =
  '\u001b[2J\u001b]0;x\u0007\u009b31m\r\nadmitted all \u202e<script>alert(1)</script>\u2028&lt;\u{e0041}\ufeff|'

/** What must be in no output: controls but the end of a line, marks that cannot be seen or turn the text, and markup. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}<>]/u

const linesOf = (output: string): readonly string[] => output.split('\n')

/** Every way in which a peer can put text of its own choice before a gateway. */
async function speakHostilely(url: string): Promise<void> {
  const identity = createEphemeralIdentity()
  const client = {
    displayName: HOSTILE,
    version: HOSTILE,
    platform: '<img src=x onerror=alert(1)>',
    deviceFamily: '&<b>',
  }
  const { details } = await attempt(url, { identity, client })
  expect(details).toMatchObject({ refusal: 'pairing-required' })
  for (const params of [{ [HOSTILE]: 1 }, { role: HOSTILE }, { scopes: [HOSTILE] }]) {
    const peer = await dial(url, { headers: { 'User-Agent': '<b>\u009b31m' } })
    const frame = connectFrame(await takeChallenge(peer), { identity })
    peer.send({ ...frame, params: { ...(frame['params'] as object), ...params } })
    expect((await conclude(peer)).details).toMatchObject({ refusal: 'malformed' })
  }
  const leaving = await dial(url)
  await takeChallenge(leaving)
  leaving.socket.close(4_000, '\u001b[2J<script>')
  await leaving.closed
  for (const header of ['Origin', 'Host', 'X-Forwarded-<b>', 'Via']) {
    const { socket, all } = sendBytes(
      Number(new URL(url).port),
      upgradeRequest(Number(new URL(url).port), { [header]: `<b>\u009b31m${'y'.repeat(4_000)}` }),
    )
    const [answer] = (await once(socket, 'data')) as [Buffer]
    expect(answer.toString('latin1')).toMatch(/^HTTP\/1\.1 40[03] /)
    expect(answer.toString('latin1').split('\r\n\r\n')[1] ?? '').not.toMatch(UNSAFE)
    socket.destroy()
    await all
  }
}

describe('text that a peer chose', () => {
  test('is hostile enough to show in an output that lets it through (negative control)', () => {
    expect(HOSTILE).toMatch(UNSAFE)
    expect(JSON.stringify(HOSTILE)).toMatch(UNSAFE)
  })

  test('M15: log, tables and JSON hold no control character, no direction mark and no markup that a peer chose', async () => {
    const stateDir = temporaryFolder()
    const json = await startGatewayProcess(stateDir, '--no-local')
    await speakHostilely(json.url)
    await eventually(
      () => json.events().filter(event => event['event'] === 'refused').length,
      count => count >= 7,
    )
    json.program.kill('SIGTERM')
    const logs = [(await json.program.outcome).stdout]

    const words = startProgram(MAIN, { args: ['gateway', '--no-local', '--state-dir', stateDir] })
    let printed = ''
    words.process.stdout?.on('data', (text: string) => {
      printed += text
    })
    const url = await eventually(
      () => /ws:\/\/\S+/.exec(printed)?.[0] ?? '',
      found => found !== '',
    )
    await speakHostilely(url)
    await eventually(
      () => printed.split(' refused ').length,
      count => count > 7,
    )
    words.kill('SIGTERM')
    logs.push((await words.outcome).stdout)

    for (const command of ['requests', 'devices', 'audit']) {
      for (const form of [[], ['--json']]) {
        const { exitCode, stdout, stderr } = await holdfast([command, '--state-dir', stateDir, ...form])
        expect(exitCode).toBe(0)
        logs.push(stdout, stderr)
      }
    }
    // The arrow of the audit log is ours.
    const lines = logs.flatMap(linesOf).map(line => line.replace(' -> ', ' '))
    expect(lines.filter(line => UNSAFE.test(line))).toEqual([])
    // What it is called is there all the same, cleaned; and in JSON its platform, as it was signed.
    expect(lines.filter(line => line.includes('scriptalert(1)')).length).toBeGreaterThan(2)
    expect(lines.some(line => line.includes('\\u003cimg src=x onerror=alert(1)\\u003e'))).toBe(true)
    expect(lines.filter(line => line.length > 4_000)).toEqual([])
  })
})
