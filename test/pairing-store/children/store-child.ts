// A process of its own that works on a store: `node store-child.ts '{"task": …}'`. One line of JSON per thing it was told.
import { existsSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as wait } from 'node:timers/promises'
import { createEphemeralIdentity, identityFrom } from '@holdfast/identity'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { attempt, MANY_SCOPES_POLICY, REMOTE, scopes } from '../attempts.ts'

export interface ChildOrders {
  readonly task:
    | 'mutate'
    | 'mutate-unguarded'
    | 'acknowledge-early'
    | 'acknowledge-mixed'
    | 'rotate'
    | 'rotate-unguarded'
    | 'hold-lock'
    | 'open'
  readonly path: string
  /** It starts when this file is there. */
  readonly barrier: string
  readonly token: string
  readonly index: number
  readonly count: number
  /** Seed of a device that all processes share. */
  readonly shared: string
}

const orders = JSON.parse(process.argv[2] ?? '{}') as ChildOrders
const BY = { kind: 'store-writer' } as const

// Written at once: a line that was read was told before whatever comes next.
function tell(line: unknown): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

async function pass(): Promise<void> {
  tell('ready')
  while (!existsSync(orders.barrier)) await wait(2)
}

async function approved(store: PairingStore, wished: Parameters<typeof attempt>[0]): Promise<string> {
  for (;;) {
    const answer = await store.admit(attempt({ origin: REMOTE, ...wished }))
    if (answer.outcome !== 'refused') throw new Error('admitted without a request')
    if (answer.opened === null) {
      // The other processes have filled the four places of this device.
      await wait(5)
      continue
    }
    const { requestId, digest } = answer.opened
    const approval = await store.approveRequest(requestId, { by: BY, expectedDigest: digest })
    if (approval.outcome !== 'approved') throw new Error(approval.outcome)
    return approval.device.deviceId
  }
}

async function oneMutation(store: PairingStore, step: number): Promise<unknown> {
  const identity = createEphemeralIdentity()
  const { token, index } = orders
  const origin = { ...REMOTE, source: `10.${index}.${step}.1` }
  switch (step % 5) {
    case 0:
      await store.admit(attempt({ identity, token }))
      return { kind: 'device', id: identity.id }
    case 1:
      await store.registerLocal({ identity, gatewayToken: token, role: 'operator' })
      return { kind: 'device', id: identity.id }
    case 2:
      return { kind: 'device', id: await approved(store, { identity, origin }) }
    case 3: {
      const answer = await store.admit(attempt({ identity, origin }))
      return { kind: 'request', id: answer.outcome === 'refused' ? answer.opened?.requestId : null }
    }
    default: {
      const scope = `many.${index}.${step}`
      const shared = identityFrom({ seed: orders.shared })
      const policy = MANY_SCOPES_POLICY
      await approved(store, { identity: shared, origin, role: 'many', scopes: scopes(scope), policy })
      return { kind: 'scope', id: scope }
    }
  }
}

// What the guard is for: the same race on a file that everybody reads, changes and writes.
function oneUnguardedMutation(step: number): unknown {
  const { path, index } = orders
  const rows = JSON.parse(readFileSync(path, 'utf8')) as string[]
  const id = `${index}.${step}`
  writeFileSync(`${path}.${index}`, JSON.stringify([...rows, id]))
  renameSync(`${path}.${index}`, path)
  return { kind: 'row', id }
}

async function mutate(): Promise<void> {
  // However slow the disk is: what is looked at is that nothing is lost.
  const store = await openSqliteStore({ path: orders.path, busyTimeoutMs: 100_000 })
  await pass()
  for (let step = 0; step < orders.count; step += 1) tell(await oneMutation(store, step))
  await store.close()
}

async function mutateUnguarded(): Promise<void> {
  await pass()
  for (let step = 0; step < orders.count; step += 1) tell(oneUnguardedMutation(step))
}

// What the order is for: a process that tells before it does.
async function acknowledgeEarly(): Promise<void> {
  const store = await openSqliteStore({ path: orders.path })
  await pass()
  for (;;) {
    const identity = createEphemeralIdentity()
    tell({ kind: 'device', id: identity.id })
    await store.admit(attempt({ identity, token: orders.token }))
    // It stays in the gap between its word and its deed for as long as it may be killed there.
    await wait(1)
  }
}

/** One step of every kind after the other, each told as soon as it was acknowledged, with what it must have left. */
async function acknowledgeMixed(): Promise<void> {
  const store = await openSqliteStore({ path: orders.path })
  await pass()
  for (;;) {
    const identity = createEphemeralIdentity()
    const { id } = identity
    const named = { by: BY, role: 'operator' } as const
    const first = await store.admit(attempt({ identity, token: orders.token, handsOutToken: true }))
    if (first.outcome !== 'admitted') throw new Error(first.refusal.code)
    tell({ kind: 'registered', id })
    await approved(store, { identity, scopes: ['operator.admin'] })
    tell({ kind: 'approved', id })
    const rotated = await store.rotateDeviceToken(id, named)
    if (rotated.outcome !== 'rotated') throw new Error(rotated.outcome)
    tell({ kind: 'rotated', id })
    await store.revokeDevice(id, { by: BY, keepRegistration: true })
    tell({ kind: 'revoked', id })
    const made = await store.createJoinCode({ ...named, scopes: ['operator.read'] })
    if (made.outcome !== 'made') throw new Error(made.outcome)
    const joined = createEphemeralIdentity()
    const credential = { kind: 'join-code', code: made.code } as const
    await store.admit(attempt({ identity: joined, origin: REMOTE, credential }))
    tell({ kind: 'joined', id: joined.id })
  }
}

/** A client that rotates its token and keeps each new one, which is what it tells, and only then uses it. */
async function rotate(): Promise<void> {
  const store = await openSqliteStore({ path: orders.path })
  await pass()
  const identity = identityFrom({ seed: orders.shared })
  for (;;) {
    const answer = await store.rotateDeviceToken(identity.id, { by: BY, role: 'operator' })
    if (answer.outcome !== 'rotated') throw new Error(answer.outcome)
    const { token } = answer.issued
    tell({ kind: 'kept', id: token })
    const used = await store.admit(attempt({ identity, deviceToken: token }))
    if (used.outcome !== 'admitted') throw new Error(used.refusal.code)
  }
}

// What the guard is for: the old one dies where the new one is made, and the client may die before it has it.
async function rotateUnguarded(): Promise<void> {
  const store = await openSqliteStore({ path: orders.path })
  await pass()
  const { id } = identityFrom({ seed: orders.shared })
  for (;;) {
    await store.revokeDeviceToken(id, { by: BY, role: 'operator' })
    const answer = await store.issueDeviceToken(id, { by: BY, role: 'operator' })
    if (answer.outcome !== 'issued') throw new Error(answer.outcome)
    await wait(1)
    tell({ kind: 'kept', id: answer.issued.token })
  }
}

async function holdLock(): Promise<void> {
  const database = new DatabaseSync(orders.path)
  await pass()
  database.exec('BEGIN IMMEDIATE')
  tell('holding')
  await wait(orders.count)
  database.exec('ROLLBACK')
  database.close()
}

async function open(): Promise<void> {
  await pass()
  const store = await openSqliteStore({ path: orders.path })
  tell({ kind: 'store', id: store.storeId })
  await store.close()
}

const tasks = {
  mutate,
  'mutate-unguarded': mutateUnguarded,
  'acknowledge-early': acknowledgeEarly,
  'acknowledge-mixed': acknowledgeMixed,
  rotate,
  'rotate-unguarded': rotateUnguarded,
  'hold-lock': holdLock,
  open,
}
await tasks[orders.task]()
