import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGate, DEFAULT_LIMITS, type Gate } from '@holdfast/gateway'
import { BUILT_IN_ROLES } from '@holdfast/handshake'
import type { DeviceIdentity } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'
import { BENCH_TOKEN, seedDevices } from './gate-seed.ts'

/** A gate over a store with so many devices, on SQLite; ready to admit. */
export async function openBenchGate(
  identity: DeviceIdentity,
  devices: number,
): Promise<{ readonly gate: Gate; readonly close: () => Promise<void> }> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  const path = join(directory, 'store.sqlite')
  await (await openSqliteStore({ path })).close()
  seedDevices(path, devices)
  const store = await openSqliteStore({ path })
  const gate = createGate({
    store,
    identity,
    gatewayToken: BENCH_TOKEN,
    roles: BUILT_IN_ROLES,
    trustedLocal: { ceiling: ['operator.read', 'operator.write'] },
    allowOpenClawProof: true,
    limits: { ...DEFAULT_LIMITS, connectionsPerDevice: 10_000 },
  })
  await gate.ready
  const close = async () => {
    await gate.close()
    await store.close()
    rmSync(directory, { recursive: true })
  }
  return { gate, close }
}
