import {
  publishOnce,
  readPrivateFile,
  replacePrivateFile,
  type StateLocation,
} from '@holdfast/identity/state'
import type { GateClock } from './clock.ts'
import { type DelegationTree, delegationTrees } from './delegation-tree.ts'
import type { Gate } from './gate.ts'

/** Where a gateway writes who is connected by which right, for command lines of the same install. Nothing in it is secret. */
const TREE_PATH = 'delegations/tree.json'
/** How long changes are gathered before they are written, in ms. */
const WRITE_DELAY_MS = 200

/** What a running gateway wrote last. */
export interface DelegationSnapshot {
  readonly pid: number
  /** Ms since the epoch, by the gateway's clock. */
  readonly writtenAtMs: number
  readonly trees: readonly DelegationTree[]
}

/** Keeps the file in step with the gate, a moment behind. Returns how to stop, which leaves an empty tree. */
export function keepTreeFile(
  location: StateLocation,
  { gate, clock, pid }: { readonly gate: Gate; readonly clock: GateClock; readonly pid: number },
): () => Promise<void> {
  let callOff: (() => void) | null = null
  let writing: Promise<unknown> = Promise.resolve()
  let written = false
  const write = (trees: readonly DelegationTree[]): void => {
    written = true
    const snapshot: DelegationSnapshot = { pid, writtenAtMs: clock.nowMs(), trees }
    const bytes = Buffer.from(
      `${JSON.stringify({ format: 'holdfast-delegations', version: 1, ...snapshot })}\n`,
    )
    // Whoever looks at it can do without; the gate goes on.
    writing = writing.then(() => putFile(location, bytes)).catch(() => undefined)
  }
  const stop = gate.onEvent(event => {
    const concerns =
      event.event === 'admitted' ? event.delegation !== undefined : TREE_EVENTS.has(event.event)
    if (!concerns || callOff !== null || (event.event === 'closed' && !written)) return
    callOff = clock.after(WRITE_DELAY_MS, () => {
      callOff = null
      write(delegationTrees(gate.connections()))
    })
  })
  return async () => {
    stop()
    callOff?.()
    if (written) write([])
    await writing
  }
}

const TREE_EVENTS: ReadonlySet<string> = new Set(['closed', 'delegation-renewed'])

async function putFile(location: StateLocation, bytes: Uint8Array): Promise<void> {
  if (!(await replacePrivateFile(location, TREE_PATH, bytes))) await publishOnce(location, TREE_PATH, bytes)
}

/** What the gateway of this install wrote last, or `null` where none ever did, or where it is of no use. */
export async function readDelegations(location: StateLocation): Promise<DelegationSnapshot | null> {
  const bytes = await readPrivateFile(location, TREE_PATH)
  if (bytes === null) return null
  try {
    const value = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return value?.format === 'holdfast-delegations' && value.version === 1 ? value : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}
