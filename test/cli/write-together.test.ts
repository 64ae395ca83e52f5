import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDeviceId } from '@holdfast/identity'
import { openSqliteStore } from '@holdfast/pairing-store'
import { expect, test } from 'vitest'
import { startTogether } from '../support/processes.ts'
import { startGatewayProcess, temporaryFolder } from './holdfast.ts'
import type { WriteOrders } from './programs/write-together.ts'

const PROGRAM = new URL('./programs/write-together.ts', import.meta.url)
const PROCESSES = 8
const COUNT = process.env['HOLDFAST_LONG'] === undefined ? 6 : 50

interface Effect {
  readonly deviceId: string
  readonly trust: string
  readonly name: string | null
}

test(`M19 F44: of ${PROCESSES} processes with ${COUNT} mutations each, half over a gateway and half as command lines beside it, every effect is there`, async () => {
  const stateDir = join(temporaryFolder(), 'state')
  const { url, gatewayId } = await startGatewayProcess(stateDir)
  const token = readFileSync(join(stateDir, 'gateway-token', 'token'), 'utf8')
  const outcomes = await startTogether(PROGRAM, PROCESSES, index => {
    const part = index % 2 === 0 ? 'wire' : 'command-line'
    const orders: WriteOrders = { part, stateDir, url, gatewayId, token, count: COUNT }
    return { args: [JSON.stringify(orders)] }
  })
  expect(outcomes.map(each => [each.exitCode, each.stderr])).toEqual(Array(PROCESSES).fill([0, '']))
  const told = outcomes.flatMap(each =>
    each.stdout
      .split('\n')
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line) as Effect),
  )
  expect(told).toHaveLength(PROCESSES * COUNT)
  const store = await openSqliteStore({ path: join(stateDir, 'store.sqlite') })
  // Later effects on one device are told later, by the same process.
  for (const [id, last] of new Map(told.map(each => [each.deviceId, each]))) {
    const deviceId = parseDeviceId(id)
    if (deviceId === null) throw new Error(`no device id: ${id}`)
    expect(await store.findDevice(deviceId)).toMatchObject(last)
  }
  // Each of them has its entry as well, and none has two.
  const { items } = await store.listAudit({ limit: 1_000 })
  const acts = ['device-registered', 'device-approved', 'device-renamed', 'device-revoked']
  expect(items.filter(each => acts.includes(each.act))).toHaveLength(PROCESSES * COUNT)
  expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact', unaudited: 0 })
  await store.close()
})
