import { BUILT_IN_ROLES } from '@holdfast/handshake'
import type { PairingStore, StoreChange, StoreOptions } from '@holdfast/pairing-store'
import { CEILING, newToken } from '../attempts.ts'

/** Opens a store of one kind. The same `place` is the same store, as another process would see it. */
export type OpenStore = (place: string, options?: StoreOptions) => Promise<PairingStore>

export const WRITER = { by: { kind: 'store-writer' } } as const

export interface Started {
  readonly store: PairingStore
  readonly place: string
  readonly token: string
  /** Moves the store's clock. */
  readonly passMs: (ms: number) => void
  readonly nowMs: () => number
}

let places = 0

/** A store as a gate leaves it after its start: a token, settings, and a clock that the test moves. */
export async function startStore(openStore: OpenStore): Promise<Started> {
  let nowMs = Date.parse('2026-03-01T12:00:00Z')
  places += 1
  const place = `place-${places}`
  const store = await openStore(place, { clock: () => nowMs })
  const token = newToken()
  await store.putGatewayToken(token)
  await store.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
  return {
    store,
    place,
    token,
    nowMs: () => nowMs,
    passMs: ms => {
      nowMs += ms
    },
  }
}

export function listen(store: PairingStore): StoreChange[] {
  const heard: StoreChange[] = []
  store.subscribe(change => heard.push(change))
  return heard
}

/** Polls until it is so. The bound is for a hang, not a measurement. */
export async function until(holds: () => boolean | Promise<boolean>, boundMs = 20_000): Promise<void> {
  const deadline = performance.now() + boundMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('it never came to be so')
    await new Promise(done => setTimeout(done, 5))
  }
}
