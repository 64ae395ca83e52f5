import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { temporaryFolder } from '../cli/holdfast.ts'
import { runProgram, startProgram } from '../support/processes.ts'

const textOf = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')

describe('the front page', () => {
  test('shows the programs that this test runs', () => {
    const readme = textOf('../../README.md')
    for (const sample of ['readme-gateway.ts', 'readme-agents.ts']) expect(readme).toContain(textOf(sample))
  })

  test('its gateway lets its five agents in, as one device', async () => {
    const home = join(temporaryFolder(), 'home')
    mkdirSync(home)
    const env = { HOME: home, XDG_DATA_HOME: undefined, HOLDFAST_DIR_MY_AGENTS: undefined }
    const gateway = startProgram(new URL('readme-gateway.ts', import.meta.url), { env })
    onTestFinished(() => gateway.kill())
    const { exitCode, stdout, stderr } = await runProgram(new URL('readme-agents.ts', import.meta.url), {
      env,
    })
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    const lines = stdout.trim().split('\n')
    expect(lines).toHaveLength(5)
    expect(new Set(lines.map(line => line.slice(0, 12))).size).toBe(1)
    for (const line of lines) expect(line).toMatch(/^[0-9a-f]{12} \{ hello: 'agent' \}$/)
  })
})
