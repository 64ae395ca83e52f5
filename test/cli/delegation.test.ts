import { describe, expect, test } from 'vitest'
import { startChild, startInstall } from '../delegation/gateway.ts'
import { eventually, holdfast, holdfastHere, holdfastJson } from './holdfast.ts'

interface Node {
  readonly holderId: string
  readonly delegationId: string
  readonly scopes: readonly string[]
  readonly expiresAtMs: number
  readonly connections: number
  readonly children: readonly Node[]
}
interface Printed {
  readonly running: boolean
  readonly trees: readonly { readonly deviceId: string; readonly children: readonly Node[] }[]
}

describe('holdfast tree', () => {
  test('says who started whom, with what is left at each hop; revoking a child cuts it and everybody below', async () => {
    const { directory, identity, gateway } = await startInstall()
    const parent = startChild(['nest', '0', 'operator.read'], {
      identity,
      scopes: ['operator.write'],
      depth: 1,
    })
    const sibling = startChild(['stay'], { identity, scopes: ['operator.talk'] })
    await Promise.all([parent.next(), sibling.next()])
    // The child of the child stays as long as its own output is read.
    await parent.next()
    const read = () => holdfastJson<Printed>(directory, 'tree')
    const { trees, running } = await eventually(read, printed => printed.trees[0]?.children.length === 2)
    expect(running).toBe(true)
    expect(trees.map(({ deviceId }) => deviceId)).toEqual([identity.id])
    const nodes = trees[0]?.children ?? []
    const byScope = (scope: string) => nodes.find(({ scopes }) => scopes.includes(scope))
    expect(byScope('operator.talk')).toMatchObject({ connections: 1, children: [] })
    expect(byScope('operator.write')).toMatchObject({ connections: 1 })
    const lines = (await holdfastHere(['tree', '--state-dir', directory])).stdout
    for (const { holderId } of nodes) expect(lines).toContain(holderId)
    expect(lines).toMatch(/operator\.talk, \d+ min left, 1 connection /)

    const { holderId } = byScope('operator.write') ?? { holderId: '' }
    expect(await holdfastJson(directory, 'tree', 'revoke', holderId)).toMatchObject({
      outcome: 'revoked',
      kind: 'holder',
      deviceId: identity.id,
    })
    expect(await parent.all()).toContainEqual({ end: 4001 })
    await eventually(
      async () => gateway.gate.connections().length,
      left => left === 1,
    )
    const unknown = await holdfastHere(['tree', 'revoke', identity.id, '--state-dir', directory, '--json'])
    expect([unknown.exitCode, unknown.answer]).toMatchObject([1, { error: { code: 'DELEGATION_UNKNOWN' } }])
    sibling.kill()
  })

  test('pnpm start -- --delegate: each child has a right of its own, every one is admitted by rule 11, and there is one device', async () => {
    const outcome = await holdfast(['demo', '--', '--children', '4', '--delegate', '--fresh', '--json'])
    expect(outcome.answer).toMatchObject({
      devices: 1,
      admitted: 4,
      refused: 0,
      prompts: 0,
      byRule: { 11: 4 },
    })
  })
})
