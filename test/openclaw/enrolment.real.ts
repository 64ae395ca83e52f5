import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { enrollWithOpenClaw } from '@holdfast/openclaw'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Program, startProgram } from '../support/processes.ts'
import { plainAttempt, plainKeyOf } from './plain-client.ts'
import {
  createRealHome,
  type RealGateway,
  type RealHome,
  runRealCommand,
  startRealGateway,
} from './real-gateway.ts'
import { booksOf } from './real-pairing.ts'
import { startRelay } from './relay.ts'

let home: RealHome
let directory: string
let gateway: RealGateway | null
beforeEach(() => {
  home = createRealHome()
  directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-state-'))
  gateway = null
})
afterEach(async () => {
  await gateway?.stop()
  home.remove()
  rmSync(directory, { recursive: true, force: true })
})

describe.each(['2026.2.21', '2026.4.8'] as const)('freeing a stuck device of openclaw %s', version => {
  test('is killed before it has cleared up: the next enrolment does, and no other device is touched', async () => {
    const running = await startRealGateway(version, home)
    gateway = running
    const identity = await openIdentity({ directory })
    const wish = { url: running.url, token: home.gatewayToken }
    await plainAttempt(plainKeyOf(directory), { ...wish, scopes: ['operator.read'] })
    const stuck = await plainAttempt(plainKeyOf(directory), { ...wish, scopes: ['operator.write'] })
    expect(stuck.ok).toBe(false)

    let program: Program | null = null
    const relay = await startRelay(running.url, method => {
      if (method !== 'device.pair.remove') return true
      program?.kill('SIGKILL')
      return false
    })
    const file = new URL('./programs/four-wishes.ts', import.meta.url)
    program = startProgram(file, { args: [directory, relay.url, home.gatewayToken, ''] })
    expect((await program.outcome).signal).toBe('SIGKILL')
    await relay.close()
    // What a kill leaves: the device is freed, and there is one device too many.
    expect((await booksOf(running)).paired).toHaveLength(2)

    const enrolment = await enrollWithOpenClaw({ identity, url: running.url, token: home.gatewayToken })
    expect(enrolment).toMatchObject({ outcome: 'enrolled', did: [{ act: 'removed' }] })
    expect(await booksOf(running)).toEqual({ paired: [identity.id], pending: [] })
  })
})

describe('openclaw 2026.9.6 that lets nobody in silently', () => {
  test('asks a person, and the command that is told cures it', async () => {
    gateway = await startRealGateway('2026.9.6', home, {
      gateway: { nodes: { pairing: { autoApproveLocal: false } } },
    })
    const { url } = gateway
    const identity = await openIdentity({ directory })
    const held = await enrollWithOpenClaw({ identity, url, token: home.gatewayToken })
    expect(held).toMatchObject({ outcome: 'approval-needed' })
    const run = (args: readonly string[]) =>
      runRealCommand('2026.9.6', home, [...args, '--json', '--url', url, '--token', home.gatewayToken])
    const [, ...args] = held.outcome === 'approval-needed' ? held.command.split(' ') : []
    expect(await run(args)).toMatchObject({ exitCode: 0 })
    const enrolled = await enrollWithOpenClaw({ identity, url, token: home.gatewayToken })
    expect(enrolled).toMatchObject({ outcome: 'enrolled', did: [{ act: 'rejected' }] })
    const books = JSON.parse((await run(['devices', 'list'])).stdout)
    expect(books.pending).toEqual([])
    expect(books.paired).toMatchObject([{ deviceId: identity.id }])
    expect(books.paired).toHaveLength(1)
  })
})
