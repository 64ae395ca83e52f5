import { describe, expect, test } from 'vitest'
import { startChild, startInstall } from './gateway.ts'

describe('children with rights of their own', () => {
  const count = process.env['HOLDFAST_LONG'] === undefined ? 24 : 100

  test(`${count} children at once, each with its own scopes: all admitted, no request, one device in the store`, async () => {
    const { identity, store, gateway } = await startInstall()
    const sets = Array.from({ length: count }, (_, n) =>
      ['operator.approvals', 'operator.questions', 'operator.read', 'operator.talk', 'operator.write'].filter(
        (_scope, bit) => ((n % 31) + 1) & (1 << bit),
      ),
    )
    const reports = await Promise.all(sets.map(scopes => startChild(['connect'], { identity, scopes }).all()))
    expect(reports.map(([first]) => first?.['scopes'])).toEqual(sets)
    expect(new Set(reports.map(([first]) => first?.['deviceId']))).toEqual(new Set([identity.id]))
    expect((await store.listDevices()).items.length).toBe(1)
    expect((await store.listRequests()).items).toEqual([])
    expect(gateway.gate.connections()).toEqual([])
  })

  test('a child that asks beyond its delegation is refused, and the refusal names the missing scope', async () => {
    const { identity, store } = await startInstall()
    const [report] = await startChild(['ask', 'operator.read', 'operator.write'], {
      identity,
      scopes: ['operator.read'],
    }).all()
    expect(report).toMatchObject({
      code: 'ADMISSION_REFUSED',
      refusal: 'delegation-insufficient',
      flaw: 'scopes-missing',
      missing: ['operator.write'],
    })
    expect((await store.listRequests()).items).toEqual([])
  })

  test('nobody gives what the device itself does not have', async () => {
    const { identity, store } = await startInstall()
    const [report] = await startChild(['connect'], { identity, scopes: ['operator.admin'] }).all()
    expect(report).toMatchObject({
      refusal: 'delegation-insufficient',
      flaw: 'device-insufficient',
      missing: ['operator.admin'],
    })
    expect((await store.listRequests()).items).toEqual([])
  })
})
