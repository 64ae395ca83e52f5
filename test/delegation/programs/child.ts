// A child as it is meant to be: it connects by what it was given, says what came of it, and does what it is told.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { connectToGateway, isSpawnerError, spawnAgent } from '@holdfast/spawner'

const [mode = 'connect', ...wished] = process.argv.slice(2)

// Whoever listened may be gone.
process.stdout.on('error', () => process.exit(0))

function say(report: object): void {
  process.stdout.write(`${JSON.stringify(report)}\n`)
}

function failed(error: unknown): object {
  if (!isSpawnerError(error)) throw error
  const { refusal = null, flaw = null, missing = [] } = error.detail as Record<string, unknown>
  return {
    code: error.code,
    reason: 'reason' in error.detail ? error.detail.reason : null,
    refusal,
    flaw,
    missing,
  }
}

try {
  // May it see the install's key?
  if (mode === 'look') say({ keyIsSeen: existsSync(join(wished[0] ?? '', 'device', 'key.json')) })
  const connection = await connectToGateway({
    reconnect: false,
    ...(mode === 'ask' && { scopes: wished }),
    // As a program says it that knows nothing of rights of its own.
    ...(mode === 'named' && { app: 'holdfast', role: 'operator', scopes: ['operator.read'] }),
  })
  connection.on('delegation.expiring', payload => say({ event: 'delegation.expiring', payload }))
  say({ pid: process.pid, deviceId: connection.deviceId, scopes: connection.scopes })
  if (mode === 'nest') {
    const [depth = '0', ...narrower] = wished
    const args = [...process.execArgv, import.meta.filename]
    const own = depth === '0' ? ['connect'] : ['nest', String(Number(depth) - 1), ...narrower]
    spawnAgent(process.execPath, [...args, ...own], {
      connection,
      scopes: narrower,
      depth: Number(depth),
      stdio: ['ignore', 'inherit', 'inherit'],
    })
  }
  if (mode === 'call') {
    for (const method of wished) {
      say(
        await connection.call(method).then(
          answer => ({ method, answer }),
          error => ({ method, ...error.detail }),
        ),
      )
    }
  }
  if (mode !== 'stay' && mode !== 'nest') await connection.close()
  say({ end: (await connection.closed).code })
} catch (error) {
  say(failed(error))
  process.exitCode = 1
}
