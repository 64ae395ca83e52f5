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

/** The commands of a page, each with the machine that its block is about. */
function commandsOf(
  page: string,
): readonly { readonly machine: string; readonly words: readonly string[] }[] {
  let machine = ''
  return [...page.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block = '']) =>
    block.split('\n').flatMap(line => {
      const [, named] = /^# machine (\w+)$/.exec(line) ?? []
      machine = named ?? machine
      const [, words] = /^holdfast (.+)$/.exec(line) ?? []
      return words === undefined ? [] : [{ machine, words: words.split(' ') }]
    }),
  )
}

describe('a fleet from the command line', () => {
  test('every command of docs/fleet.md works as it is written there', async () => {
    const folder = temporaryFolder()
    await server.createDatabase('page')
    const pass = join(folder, 'pgpass')
    writeFileSync(pass, `*:*:*:*:${PASSWORD}\n`, { mode: 0o600 })
    const page = readFileSync(new URL('../../docs/fleet.md', import.meta.url), 'utf8')
    const commands = commandsOf(page)
    expect(commands.length).toBeGreaterThan(8)
    const gatewayIds: string[] = []
    for (const { machine, words } of commands) {
      const here = words.map(word =>
        word
          .replace('/var/lib/holdfast', join(folder, machine))
          .replace('/root/', `${folder}/`)
          .replace(/^7070$/, '0')
          .replace('holdfast@db.internal:5432/holdfast', `postgres@127.0.0.1:${server.port}/page`),
      )
      if (here[0] === 'gateway' && here[1]?.startsWith('--')) {
        process.env['PGPASSFILE'] = pass
        const [, , stateDir = '', ...more] = here
        gatewayIds.push((await startGatewayProcess(stateDir, ...more)).gatewayId)
        delete process.env['PGPASSFILE']
      } else {
        const { exitCode, stderr } = await holdfast(here, { env: { PGPASSFILE: pass } })
        expect([words.join(' '), exitCode, stderr]).toEqual([words.join(' '), 0, expect.any(String)])
      }
    }
    expect(gatewayIds).toHaveLength(3)
    expect(new Set(gatewayIds).size).toBe(1)
  })

  test('two gateways on one server: nothing is made by looking, no secret is shown, and what is for files is refused', async () => {
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
