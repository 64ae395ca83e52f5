import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openIdentity } from '@holdfast/identity'
import { describe, expect, test } from 'vitest'
import { plainAttempt, plainKeyOf } from '../plain-client.ts'
import type { RealCommandOutcome } from '../real-gateway.ts'
import { jsonOf } from '../real-output.ts'
import { runShell } from '../real-shell.ts'
import { type Release, useDirectories } from '../release.ts'

const page = readFileSync(new URL('../../../docs/openclaw.md', import.meta.url), 'utf8')
const SAMPLES = fileURLToPath(new URL('../samples/', import.meta.url))
const COMMANDS = [...page.matchAll(/^```sh\n(.*?)\n```$/gms)].map(match => match[1] ?? '')
const LIST = 'openclaw devices list --json'
const DOCTOR = 'holdfast openclaw doctor --app my-app'
const ENROLL = 'holdfast openclaw enroll ws://127.0.0.1:18789 --app my-app < token-file'
const PROGRAM = 'OPENCLAW_GATEWAY_TOKEN=… node enrol.ts'
const CLIENT = 'OPENCLAW_GATEWAY_TOKEN=… node official-client.ts'
const IMPORT = 'holdfast openclaw import --app my-app'

interface Listed {
  readonly paired: readonly { readonly deviceId: string }[]
  readonly pending: readonly { readonly deviceId: string }[]
}

/** `docs/openclaw.md`, followed at a gateway that runs: each command of the page, word for word, but for port and token. */
export function thePage(release: Release): void {
  const { version } = release
  const newDirectory = useDirectories()
  const holdsToFirstScopes = version !== '2026.9.6'

  function run(command: string, directory: string): Promise<RealCommandOutcome> {
    const { url, home } = release.gateway
    expect(COMMANDS).toContain(command)
    const line = command
      .replace('ws://127.0.0.1:18789', url)
      .replace('< token-file', `<<< '${home.gatewayToken}'`)
      .replace('…', home.gatewayToken)
    // Only our programs: 2026.9 takes the variable for an order to forget its configured token.
    const place = command.includes('node ') ? { OPENCLAW_GATEWAY_URL: url } : {}
    const env = { HOLDFAST_DIR_MY_APP: directory, ...place }
    return runShell(version, home, line, { cwd: SAMPLES, env })
  }

  async function linesOf(command: string, directory: string): Promise<readonly string[]> {
    const { exitCode, stdout, stderr } = await run(command, directory)
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    return stdout.trimEnd().split('\n')
  }

  /** As it was found: an identity whose first connection only read. */
  async function stuckDevice(directory: string): Promise<string> {
    await openIdentity({ directory })
    const key = plainKeyOf(directory)
    const wish = { url: release.gateway.url, token: release.home.gatewayToken }
    expect((await plainAttempt(key, { ...wish, scopes: ['operator.read'] })).ok).toBe(true)
    const write = await plainAttempt(key, { ...wish, scopes: ['operator.write'] })
    expect(write.ok).toBe(!holdsToFirstScopes)
    return key.deviceId
  }

  describe('the page on OpenClaw', () => {
    test('has no command but those that run here, and shows the programs that do', () => {
      expect(new Set(COMMANDS)).toEqual(new Set([LIST, DOCTOR, ENROLL, PROGRAM, CLIENT, IMPORT]))
      for (const name of ['enrol', 'official-client', 'import'])
        expect(page).toContain(`\`\`\`ts\n${readFileSync(join(SAMPLES, `${name}.ts`), 'utf8')}\`\`\``)
    })

    test('leads from a stuck device to one that is let in with everything', async () => {
      const directory = newDirectory()
      const deviceId = await stuckDevice(directory)
      const listed = async () => {
        const { paired, pending } = jsonOf(await run(LIST, directory)) as Listed
        const isIts = (entry: { readonly deviceId: string }) => entry.deviceId === deviceId
        return { paired: paired.filter(isIts).length, pending: pending.filter(isIts).length }
      }
      expect(await listed()).toEqual({ paired: 1, pending: holdsToFirstScopes ? 1 : 0 })
      const stuck = await run(DOCTOR, directory)
      expect(stuck.stdout.includes(`scopes-stuck: device ${deviceId.slice(0, 12)}`)).toBe(holdsToFirstScopes)

      const letIn = ['read', 'write', 'admin'].map(name => `let in with operator.${name}`)
      const freed = holdsToFirstScopes ? ['approved', 'removed'] : []
      expect(await linesOf(PROGRAM, directory)).toEqual([...freed, ...letIn])
      expect(await linesOf(PROGRAM, directory)).toEqual(letIn)
      expect((await run(DOCTOR, directory)).stdout).not.toContain('scopes-stuck')
      expect(await listed()).toEqual({ paired: 1, pending: 0 })
      if (version !== '2026.2.21') expect(await linesOf(CLIENT, directory)).toEqual(['let in'])
    })

    test('has a command that frees the device without a program', async () => {
      const directory = newDirectory()
      const deviceId = await stuckDevice(directory)
      const lines = await linesOf(ENROLL, directory)
      expect(lines[0]).toContain(deviceId)
      expect(lines.at(-1)).toBe('Let in, with everything.')
      expect(lines.some(line => line.startsWith('It was stuck: '))).toBe(holdsToFirstScopes)
      expect((await run(DOCTOR, directory)).stdout).not.toContain('scopes-stuck')
    })

    test('imports as it says, by the command and by the program', async () => {
      const directory = newDirectory()
      await run(LIST, directory)
      const imported = await linesOf(IMPORT, directory)
      const program = await runShell(version, release.home, 'node import.ts', {
        cwd: SAMPLES,
        env: { HOLDFAST_DIR_MY_APP: directory },
      })
      expect(program).toMatchObject({
        exitCode: 0,
        stdout: expect.stringMatching(/^present: [0-9a-f]{64}\n$/),
      })
      expect(imported[0]).toContain(program.stdout.slice('present: '.length).trimEnd())
      const lines = await linesOf(PROGRAM, directory)
      expect(lines.at(-1)).toBe('let in with operator.admin')
    })
  })
}
