import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PASSWORD, type PostgresServer, startPostgres } from '../pairing-store/postgres-server.ts'
import { holdfast, startGatewayProcess, temporaryFolder } from './holdfast.ts'

let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.stop())

describe('a fleet from the command line', () => {
  test('every command of docs/fleet.md: two gateways on one server, provisioned, looked after, and no secret shown', async () => {
    const folder = temporaryFolder()
    await server.createDatabase('fleet')
    const pass = join(folder, 'pgpass')
    writeFileSync(pass, `*:*:*:*:${PASSWORD}\n`, { mode: 0o600 })
    const env = { PGPASSFILE: pass }
    const store = `postgres://postgres@127.0.0.1:${server.port}/fleet`
    const [one, two, bundle] = ['one', 'two', 'bundle'].map(name => join(folder, name)) as [
      string,
      string,
      string,
    ]
    const run = async (...words: readonly string[]) => holdfast(words, { env })
    // Nothing is made by looking.
    expect(await run('devices', '--state-dir', one, '--store', store, '--json')).toMatchObject({
      exitCode: 1,
      answer: { error: { code: 'STORE_UNREADABLE', detail: { reason: 'missing' } } },
    })
    const exported = await run('gateway', 'export', bundle, '--state-dir', one, '--json')
    expect(exported).toMatchObject({ exitCode: 0, answer: { exported: bundle } })
    expect(statSync(bundle).mode & 0o777).toBe(0o600)
    const imported = await run('gateway', 'import', bundle, '--state-dir', two, '--json')
    expect(imported).toMatchObject({ exitCode: 0, answer: { token: 'new' } })
    const secrets = JSON.parse(readFileSync(bundle, 'utf8')) as Record<string, string>
    process.env['PGPASSFILE'] = pass
    const gateways = [
      await startGatewayProcess(one, '--store', store),
      await startGatewayProcess(two, '--store', store),
    ]
    delete process.env['PGPASSFILE']
    expect(gateways[0]?.gatewayId).toBe(gateways[1]?.gatewayId)
    const listed = await run('devices', '--state-dir', two, '--store', store, '--json')
    expect(listed).toMatchObject({ exitCode: 0, answer: { devices: [] } })
    const audit = await run('audit', '--verify', '--state-dir', two, '--store', store, '--json')
    expect(audit.exitCode).toBe(0)
    const backup = await run('store', 'backup', join(folder, 'copy'), '--state-dir', two, '--store', store)
    expect(backup.exitCode).toBe(2)
    const password = await run('devices', '--state-dir', two, '--store', store.replace('@', `:${PASSWORD}@`))
    expect(password.exitCode).toBe(2)
    for (const { stdout, stderr } of [exported, imported, listed, audit, backup, password]) {
      for (const secret of [PASSWORD, secrets['secretKey'] ?? '', secrets['gatewayToken'] ?? '']) {
        expect(secret.length).toBeGreaterThan(15)
        expect(stdout + stderr).not.toContain(secret)
      }
    }
  })
})
