import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSpawnerError, type SpawnerError, type SpawnerErrorCode } from '@holdfast/spawner'
import { onTestFinished } from 'vitest'
import { type Script, type ScriptedGateway, startScriptedGateway } from './scripted-gateway.ts'

/** What every test here asks for, unless it is about that, and in which family: the scripted gateway proves nothing. */
export const WISH = { role: 'operator', scopes: ['operator.read'], protocol: 'openclaw' } as const

/** An empty directory that lasts as long as the test. */
export async function freshDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'spawner-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A scripted gateway that lasts as long as the test. */
export async function gatewayFor(script: Script = {}): Promise<ScriptedGateway> {
  const gateway = await startScriptedGateway(script)
  onTestFinished(() => gateway.stop())
  return gateway
}

/** A port of this machine on which nobody listens. */
export async function unusedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** The typed error that a promise rejects with. */
export async function failureOf<Code extends SpawnerErrorCode>(
  promise: Promise<unknown>,
  code: Code,
): Promise<SpawnerError<Code>> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  )
  if (isSpawnerError(error, code)) return error
  throw error
}

/** Resolves once it holds; fails after a generous bound. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error('it never came to hold')
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
