import { createHash } from 'node:crypto'
import { chownSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { childEnvironment } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { holdfast, holdfastHere, startGatewayProcess, temporaryFolder } from './holdfast.ts'

const CONNECT = new URL('./programs/connect.ts', import.meta.url)
/** The uid that owns the store; the commands run as root. */
const OWNER = 65_534
const asRoot = process.getuid?.() === 0

/** Every file with its owner, time and content: what a command that writes nothing leaves as it was. */
function snapshot(folder: string): Readonly<Record<string, string>> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  return Object.fromEntries(
    names.map(name => {
      const path = join(folder, name)
      const { uid, mode, mtimeMs, size } = lstatSync(path)
      const content = lstatSync(path).isFile()
        ? createHash('sha256').update(readFileSync(path)).digest('hex')
        : ''
      return [name, [uid, mode, mtimeMs, size, content].join(' ')]
    }),
  )
}

function giveAway(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
    chownSync(join(folder, name), OWNER, OWNER)
  chownSync(folder, OWNER, OWNER)
}

async function stoppedInstall(): Promise<{ stateDir: string; requestId: string; deviceId: string }> {
  const stateDir = join(temporaryFolder(), 'state')
  const gateway = await startGatewayProcess(stateDir, '--app', 'subagents')
  const identity = await openIdentity({ app: 'subagents', directory: stateDir })
  const args = ['subagents', 'operator.admin']
  const { answer } = await runProgram(CONNECT, { env: childEnvironment(identity), args })
  const [refused] = answer as { detail: { requestId: string } }[]
  gateway.program.kill('SIGTERM')
  await gateway.program.outcome
  return { stateDir, requestId: refused?.detail.requestId ?? '', deviceId: identity.id }
}

describe.skipIf(!asRoot)('a store that belongs to another user (needs root, to give a store away)', () => {
  test('F72 F78: every command writes nothing, and prints the line that works', async () => {
    const { stateDir, requestId, deviceId } = await stoppedInstall()
    giveAway(stateDir)
    const before = snapshot(stateDir)
    const commands = [
      ['approve', requestId],
      ['reject', requestId],
      ['requests'],
      ['devices'],
      ['revoke', deviceId],
      ['rename', deviceId, 'mine'],
      ['token', 'rotate'],
      ['gateway'],
    ]
    for (const words of commands) {
      const outcome = await holdfastHere([...words, '--state-dir', stateDir])
      expect(outcome.exitCode, words.join(' ')).toBe(1)
      expect(outcome.stderr).toContain('OWNER_DIFFERS')
      expect(outcome.stderr).toContain(
        `sudo -u '#${OWNER}' holdfast ${words.join(' ')} --state-dir ${stateDir}`,
      )
    }
    expect(snapshot(stateDir)).toEqual(before)
  })

  test('the same commands work for the owner of the store', async () => {
    const { stateDir, requestId } = await stoppedInstall()
    expect((await holdfast(['approve', requestId, '--state-dir', stateDir])).exitCode).toBe(0)
  })
})
