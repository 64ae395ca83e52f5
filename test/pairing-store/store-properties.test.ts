import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { identityFrom } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { attempt, CEILING, LOCAL, newToken, REMOTE } from './attempts.ts'
import { WRITER } from './contract/open-store.ts'
import { closure, NAMES, type Name, StoreModel } from './store-model.ts'

const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-model-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const RUNS = process.env['HOLDFAST_LONG'] ? 400 : 25
const DEVICES = 4
const identities = Array.from({ length: DEVICES }, (_, index) =>
  identityFrom({ seed: `${index + 1}`.padStart(2, '0').repeat(32) }),
)

type Step =
  | {
      readonly kind: 'connect'
      readonly device: number
      readonly name: Name
      readonly local: boolean
      readonly token: boolean
    }
  | { readonly kind: 'approve' | 'reject'; readonly request: number }
  | { readonly kind: 'revoke'; readonly device: number; readonly keep: boolean }
  | { readonly kind: 'narrow'; readonly device: number; readonly names: readonly Name[] }
  | { readonly kind: 'reinstate'; readonly device: number }
  | { readonly kind: 'preregister' | 'join'; readonly device: number; readonly name: Name }
  | { readonly kind: 'rotate' | 'reopen' }
  | { readonly kind: 'pass'; readonly ms: number }

const device = fc.nat(DEVICES - 1)
const name = fc.constantFrom(...NAMES)
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('connect' as const),
      device,
      name,
      local: fc.boolean(),
      token: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('approve' as const, 'reject' as const),
      request: fc.nat(9),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('revoke' as const), device, keep: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('narrow' as const), device, names: fc.subarray([...NAMES]) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reinstate' as const), device }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('preregister' as const, 'join' as const), device, name }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('rotate' as const, 'reopen' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      ms: fc.constantFrom(1, 999, 1_000, 599_999, 600_000),
    }),
  },
)

const scopeOf = (each: Name) => `operator.${each}`
const nameOf = (scope: string) => scope.replace('operator.', '') as Name

/** A store and its model, side by side. */
class Pair {
  readonly model: StoreModel
  readonly #path: string
  #store: PairingStore | null = null
  #token = newToken()

  constructor(path: string, model: StoreModel) {
    this.#path = path
    this.model = model
  }

  async store(): Promise<PairingStore> {
    if (this.#store !== null) return this.#store
    this.#store = await openSqliteStore({ path: this.#path, clock: () => this.model.nowMs })
    await this.#store.putGatewayToken(this.#token)
    await this.#store.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
    return this.#store
  }

  async close(): Promise<void> {
    await this.#store?.close()
    this.#store = null
  }

  async carryOut(step: Step): Promise<void> {
    const { model } = this
    const store = await this.store()
    const at = 'device' in step ? step.device : 0
    const identity = identities[at]
    if (identity === undefined) throw new Error('no such device')
    const { id, publicKey } = identity
    switch (step.kind) {
      case 'connect': {
        const expected = model.connect(at, step.name, step)
        expect(await this.#connect(at, step)).toBe(expected)
        return
      }
      case 'approve':
      case 'reject': {
        const open = model.open()
        const request = open[step.request % Math.max(1, open.length)]
        if (request === undefined) return
        const { items } = await store.listRequests()
        const found = items.find(
          each =>
            each.deviceId === identities[request.device]?.id && each.scopes[0] === scopeOf(request.name),
        )
        if (found === undefined) throw new Error('a request that the model has is not open')
        const { requestId, digest: expectedDigest } = found
        const approves = step.kind === 'approve'
        const answer = approves
          ? await store.approveRequest(requestId, { ...WRITER, expectedDigest })
          : await store.rejectRequest(requestId, WRITER)
        expect(answer.outcome).toBe(approves ? 'approved' : 'rejected')
        if (approves) model.give(request.device, request.name, request.token)
        model.close(request.device, request.name)
        return
      }
      case 'revoke':
        await store.revokeDevice(id, { ...WRITER, keepRegistration: step.keep })
        return model.revoke(at, step.keep)
      case 'narrow':
        await store.narrowDevice(id, { ...WRITER, role: 'operator', scopes: step.names.map(scopeOf) })
        return model.narrow(at, step.names)
      case 'reinstate':
        await store.reinstateDevice(id, WRITER)
        return model.reinstate(at)
      case 'preregister': {
        const isNew = !model.devices.has(at)
        const answer = await store.preregisterDevice({
          ...WRITER,
          publicKey,
          role: 'operator',
          scopes: [scopeOf(step.name)],
        })
        expect(answer.outcome === 'registered').toBe(isNew)
        if (isNew) model.give(at, step.name)
        return
      }
      case 'join': {
        const known = model.devices.get(at)
        const made = await store.createJoinCode({ ...WRITER, role: 'operator', scopes: [scopeOf(step.name)] })
        if (made.outcome !== 'made') throw new Error(made.outcome)
        const credential = { kind: 'join-code', code: made.code } as const
        const wish = {
          identity,
          origin: REMOTE,
          scopes: [scopeOf(step.name)],
          credential,
          nowMs: model.nowMs,
        }
        const answer = await store.admit(attempt(wish))
        expect(answer.outcome).toBe(known?.revoked ? 'refused' : 'admitted')
        if (!known?.revoked && !known?.grant?.has(step.name)) model.give(at, step.name)
        return
      }
      case 'rotate':
        this.#token = newToken()
        await store.putGatewayToken(this.#token)
        return model.rotate()
      case 'reopen':
        return this.close()
      case 'pass':
        model.nowMs += step.ms
    }
  }

  async #connect(at: number, step: Extract<Step, { kind: 'connect' }>): Promise<string> {
    const identity = identities[at]
    if (identity === undefined) throw new Error('no such device')
    const store = await this.store()
    const origin = step.local ? LOCAL : { ...REMOTE, source: `203.0.113.${at}` }
    const wish = { identity, origin, scopes: [scopeOf(step.name)], nowMs: this.model.nowMs }
    const answer = await store.admit(attempt(step.token ? { ...wish, token: this.#token } : wish))
    return answer.outcome === 'admitted' ? 'admitted' : answer.refusal.code
  }

  /** Everything that can be seen of the store is as the model has it. */
  async compare(): Promise<void> {
    const { model } = this
    const store = await this.store()
    const { items } = await store.listDevices()
    expect(items.length).toBe(model.devices.size)
    for (const [at, expected] of model.devices) {
      const found = await store.findDevice(identities[at]?.id as never)
      expect(found?.trust).toBe(expected.revoked ? 'revoked' : expected.standing)
      const grant = found?.roles[0]?.grant ?? null
      expect(grant === null ? null : [...closure(grant.map(nameOf))].sort()).toEqual(
        expected.grant === null ? null : [...expected.grant].sort(),
      )
    }
    const open = (await store.listRequests()).items.map(each => `${each.deviceId} ${each.scopes.join()}`)
    const asked = model.open().map(each => `${identities[each.device]?.id} ${scopeOf(each.name)}`)
    expect(open.sort()).toEqual(asked.sort())
  }
}

let runs = 0
const START_MS = Date.parse('2026-03-01T12:00:00Z')

/** That the store is what this model says, after each step of any sequence. */
function isModelled(makeModel: () => StoreModel, seen: Set<string>) {
  return fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 40 }), async sequence => {
    runs += 1
    const pair = new Pair(join(directory, `run-${runs}`, 'store.sqlite'), makeModel())
    try {
      for (const step of sequence) {
        await pair.carryOut(step)
        seen.add(step.kind)
        await pair.compare()
      }
      const store = await pair.store()
      expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact', unaudited: 0 })
    } finally {
      await pair.close()
    }
  })
}

test('after any sequence of connects, answers, revocations and passing time the store is what a small model says', async () => {
  const seen = new Set<string>()
  await fc.assert(
    isModelled(() => new StoreModel(START_MS), seen),
    { numRuns: RUNS },
  )
  expect(seen.size).toBe(11)
}, 600_000)

test('M18 control: a model in which what was granted comes back with a reinstatement is told apart', async () => {
  class Forgiving extends StoreModel {
    readonly #before = new Map<number, Set<Name> | null>()
    override revoke(index: number, keep: boolean): void {
      const known = this.devices.get(index)
      if (known?.revoked === false) this.#before.set(index, known.grant)
      super.revoke(index, keep)
    }
    override reinstate(index: number): void {
      const known = this.devices.get(index)
      if (known?.revoked) known.grant = this.#before.get(index) ?? null
      super.reinstate(index)
    }
  }
  const property = isModelled(() => new Forgiving(START_MS), new Set())
  // Of random sequences one in a hundred tells it: with this seed it is the sixth, so that the control fails by no bad luck.
  expect((await fc.check(property, { numRuns: 200, endOnFailure: true, seed: 1 })).failed).toBe(true)
})
