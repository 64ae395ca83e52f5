import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createGate, type Gate, type GateEvent, type GateOptions } from '@holdfast/gateway'
import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'

export const TOKEN = 'Zk3vQ9xTn5Lw8sRb2HcYd7Gf4JmPa6Ke1UoXiVtSqWe'
export const CEILING = ['operator.read', 'operator.write', 'operator.approvals']

export interface TestGate {
  readonly url: string
  readonly port: number
  readonly gate: Gate
  readonly server: Server
  readonly store: PairingStore
  readonly storePath: string
  readonly events: readonly GateEvent[]
  /** Rows per table of the store, read past the store itself. */
  counts(): Record<string, number>
  close(): Promise<void>
}

/** A gate on a real server over a real store in a fresh directory. Local trust with a ceiling, unless said otherwise. */
export async function openTestGate(
  options: Partial<GateOptions> & { readonly listenHost?: string } = {},
): Promise<TestGate> {
  const { listenHost = '127.0.0.1', ...given } = options
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-gate-'))
  const storePath = join(directory, 'store.sqlite')
  const store = given.store ?? (await openSqliteStore({ path: storePath }))
  const events: GateEvent[] = []
  const gate = createGate({
    identity: createEphemeralIdentity(),
    gatewayToken: TOKEN,
    roles: BUILT_IN_ROLES,
    trustedLocal: { ceiling: CEILING },
    ...given,
    store,
  })
  gate.onEvent(event => events.push(event))
  await gate.ready
  const server = createServer()
  gate.attach(server)
  await new Promise<void>(resolve => server.listen(0, listenHost, resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `ws://127.0.0.1:${port}`,
    port,
    gate,
    server,
    store,
    storePath,
    events,
    counts: () => rowCounts(storePath),
    async close() {
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      await gate.close()
      await closed
      if (given.store === undefined) await store.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function rowCounts(path: string): Record<string, number> {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    const names = database
      .prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
      )
      .all()
    return Object.fromEntries(
      names.map(({ name }) => {
        const row = database.prepare(`SELECT count(*) AS n FROM "${String(name)}"`).get()
        return [String(name), Number(row?.['n'])]
      }),
    )
  } finally {
    database.close()
  }
}

/** Polls until it is so; a bound for a hung test, not a measurement. */
export async function until(condition: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  const deadline = Date.now() + withinMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come about in time')
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
