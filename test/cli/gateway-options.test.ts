import { createEphemeralIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { attempt, dial, takeChallenge, UpgradeRefused } from '../gateway/raw-client.ts'
import { holdfast, startGatewayProcess, temporaryFolder } from './holdfast.ts'

describe('who a gateway takes for whom', () => {
  test('C12 C13: with --trusted-proxies nobody who comes from there is local; --allowed-hosts names it', async () => {
    const stateDir = temporaryFolder()
    const words = ['--trusted-proxies', '127.0.0.1,10.9.0.0/16', '--allowed-hosts', 'gate,gate.example']
    const { url } = await startGatewayProcess(stateDir, ...words)
    const named = await dial(url, { headers: { Host: 'gate:18789' } })
    await takeChallenge(named)
    named.socket.terminate()
    const { details } = await attempt(url, { identity: createEphemeralIdentity() })
    expect(details).toMatchObject({ refusal: 'pairing-required' })
    expect(details).not.toHaveProperty('command')
    await expect(dial(url, { headers: { Host: 'evil.example' } })).rejects.toBeInstanceOf(UpgradeRefused)
  })

  test.each([
    ['--local-peers', '203.0.113.0/24'],
    ['--allowed-hosts', 'gate,'],
  ])('F83: %s %s is a mistake, and no gateway starts', async (option, value) => {
    const words = ['gateway', option, value, '--state-dir', temporaryFolder(), '--json']
    const { exitCode, answer } = await holdfast(words)
    expect(exitCode).toBe(2)
    expect(answer).toMatchObject({ error: { code: 'USAGE' } })
  })
})
