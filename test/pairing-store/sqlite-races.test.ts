import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createEphemeralIdentity } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { programPath } from '../support/processes.ts'
import { attempt, newToken, REMOTE } from './attempts.ts'
import { ROUNDS } from './child-processes.ts'
import type { RaceAct, RaceOrders } from './children/race-child.ts'
import { until } from './contract/open-store.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-races-'))
const path = join(directory, 'store', 'store.sqlite')
const SCRIPT = programPath(new URL('./children/race-child.ts', import.meta.url))
/** A round costs some ms. */
const RACES = ROUNDS * 5

interface Racer {
  readonly process: ChildProcess
  readonly lines: unknown[]
}

let store: PairingStore
let token: string
let racers: readonly [Racer, Racer]
let rounds = 0

function startRacer(): Racer {
  const child = spawn(process.execPath, ['--conditions=source', '--no-warnings', SCRIPT, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines: unknown[] = []
  createInterface({ input: child.stdout }).on('line', line => lines.push(JSON.parse(line)))
  return { process: child, lines }
}

beforeAll(async () => {
  store = await openSqliteStore({ path })
  token = newToken()
  await store.putGatewayToken(token)
  racers = [startRacer(), startRacer()]
  await until(() => racers.every(each => each.lines.length === 1), 60_000)
})
afterAll(async () => {
  for (const racer of racers) racer.process.stdin?.end()
  await store.close()
  rmSync(directory, { recursive: true, force: true })
})

/** Two processes do these at the same moment; what each was answered, in that order. */
async function race(first: RaceAct, second: RaceAct): Promise<readonly [Answer, Answer]> {
  rounds += 1
  const barrier = join(directory, `go-${rounds}`)
  const before = racers.map(each => each.lines.length)
  for (const [index, order] of [first, second].entries()) {
    const orders: RaceOrders = { barrier, order }
    racers[index]?.process.stdin?.write(`${JSON.stringify(orders)}\n`)
  }
  const told = (count: number) =>
    racers.every((each, index) => each.lines.length === (before[index] ?? 0) + count)
  await until(() => told(1))
  writeFileSync(barrier, '')
  await until(() => told(2))
  return [racers[0].lines.at(-1) as Answer, racers[1].lines.at(-1) as Answer]
}

interface Answer {
  readonly outcome: string
  readonly issued?: { readonly token: string }
}

const outcomes = (answers: readonly Answer[]) => answers.map(each => each.outcome).sort()

/** A device of this machine that asks for more than the ceiling. */
async function asking() {
  const identity = createEphemeralIdentity()
  await store.admit(attempt({ identity, token }))
  const answer = await store.admit(attempt({ identity, origin: REMOTE, scopes: ['operator.admin'] }))
  if (answer.outcome !== 'refused' || answer.opened === null) throw new Error('no request')
  const { requestId, digest } = answer.opened
  return { identity, requestId, approve: { act: 'approve', requestId, digest } } as const
}

describe('two processes at the same moment', () => {
  test('approve and approve: one gives, the other is told that there is nothing left to answer', async () => {
    for (let round = 0; round < RACES; round += 1) {
      const { identity, approve } = await asking()
      expect(outcomes(await race(approve, approve))).toEqual(['approved', 'unknown'])
      expect((await store.findDevice(identity.id))?.roles[0]?.grant).toEqual(['operator.admin'])
    }
  })

  test('approve and reject: one is the answer, and the device has what it says', async () => {
    const winners = new Set<string>()
    for (let round = 0; round < RACES; round += 1) {
      const { identity, requestId, approve } = await asking()
      const answers = await race(approve, { act: 'reject', requestId })
      const won = answers.filter(each => each.outcome !== 'unknown')
      expect(won).toHaveLength(1)
      const isGiven = won[0]?.outcome === 'approved'
      winners.add(won[0]?.outcome ?? '')
      const grant = (await store.findDevice(identity.id))?.roles[0]?.grant ?? null
      expect(grant).toEqual(isGiven ? ['operator.admin'] : null)
      expect(await store.findRequest(requestId)).toBeNull()
    }
    for (const winner of winners) expect(['approved', 'rejected']).toContain(winner)
  })

  test('approve and revoke: revoked it ends, in either order, and nothing that was given outlives it', async () => {
    for (let round = 0; round < RACES; round += 1) {
      const { identity, approve } = await asking()
      const [approved, revoked] = await race(approve, { act: 'revoke', deviceId: identity.id })
      expect(revoked.outcome).toBe('changed')
      expect(['approved', 'unknown', 'device-revoked']).toContain(approved.outcome)
      const device = await store.findDevice(identity.id)
      expect([device?.trust, device?.roles[0]?.grant ?? null]).toEqual(['revoked', null])
      token = newToken()
      await store.putGatewayToken(token)
    }
  })

  test('F71 rotate and rotate: one is given the new token, which stays good, and the other is told so; the one in use stays good', async () => {
    for (let round = 0; round < RACES; round += 1) {
      const identity = createEphemeralIdentity()
      const first = await store.admit(attempt({ identity, token, handsOutToken: true }))
      if (first.outcome !== 'admitted' || first.deviceToken === null) throw new Error('no token')
      const rotate = { act: 'rotate', deviceId: identity.id } as const
      const answers = await race(rotate, rotate)
      expect(outcomes(answers)).toEqual(['rotated', 'rotation-pending'])
      const won = answers.find(each => each.outcome === 'rotated')?.issued?.token ?? ''
      for (const deviceToken of [first.deviceToken.token, won, first.deviceToken.token]) {
        expect(await store.admit(attempt({ identity, deviceToken }))).toMatchObject({ outcome: 'admitted' })
      }
    }
  })

  test('two gateway tokens: one is the current one, and the other registers nobody', async () => {
    for (let round = 0; round < RACES; round += 1) {
      const tokens = [newToken(), newToken()] as const
      await race({ act: 'put-token', token: tokens[0] }, { act: 'put-token', token: tokens[1] })
      const codes = []
      for (const each of tokens) codes.push((await store.admit(attempt({ token: each }))).outcome)
      expect(codes.sort()).toEqual(['admitted', 'refused'])
    }
    await store.putGatewayToken(token)
  })

  test('after all of them the audit log is whole, with one entry for each answer', async () => {
    expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact', unaudited: 0 })
    const approvals = []
    for (let after: string | undefined; ; ) {
      const page = await store.listAudit({
        act: 'request-approved',
        limit: 1_000,
        ...(after !== undefined && { after }),
      })
      approvals.push(...page.items)
      if (page.next === null) break
      after = page.next
    }
    expect(new Set(approvals.map(each => each.subject)).size).toBe(approvals.length)
  })

  test('control: where everybody reads and then writes, both win', async () => {
    for (let round = 0; round < 500; round += 1) {
      const file = join(directory, 'unguarded')
      writeFileSync(file, 'open')
      const order = { act: 'answer-unguarded', file } as const
      const answers = await race(order, order)
      if (answers.every(each => each.outcome === 'approved')) return
    }
    throw new Error('500 races, and never two winners')
  })
})
