import { type DelegationNode, type DelegationTree, readDelegations } from '@holdfast/gateway'
import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import { readGatewayNote } from '@holdfast/identity/state'
import { CommandError } from '../errors.ts'
import { span } from '../render.ts'
import { type CommandResult, type CommonOptions, placeOptions, type Wiring, withStore } from '../wiring.ts'

/** `device`: the one that it stems from, where nobody below is connected now. */
export interface TreeRevokeOptions extends CommonOptions {
  readonly device?: string
}

/** Who started whom, with what is left at each hop: as the running gateway saw it a moment ago. */
export async function tree(wiring: Wiring): Promise<CommandResult> {
  const { trees, running } = await liveTrees(wiring)
  const nowMs = wiring.nowMs()
  const lines = trees.flatMap(({ deviceId, children }) => [
    deviceId,
    ...children.flatMap((node, at) => linesOf(node, { nowMs, indent: '', last: at === children.length - 1 })),
  ])
  const none = running ? 'No child is connected by a right of its own.' : 'No gateway runs here.'
  return { json: { running, trees }, lines: lines.length > 0 ? lines : [none] }
}

/** A delegation, or a child with everybody below it, is good for nothing from now on. */
export async function revokeInTree(
  wiring: Wiring,
  id: string,
  { device }: TreeRevokeOptions,
): Promise<CommandResult> {
  const { trees } = await liveTrees(wiring)
  const deviceId = device === undefined ? rootOf(trees, id) : parseDeviceId(device)
  if (deviceId === null) {
    const fix = `See who is connected: holdfast tree ${placeOptions(wiring)}; of one who is not, name the device: --device ID`
    throw new CommandError('DELEGATION_UNKNOWN', { id, fix })
  }
  const answer = await withStore(wiring, store =>
    store.revokeDelegation(deviceId, { by: { kind: 'store-writer' }, subject: id }),
  )
  switch (answer.outcome) {
    case 'revoked':
    case 'unchanged': {
      const { kind } = answer.revoked
      const what =
        kind === 'holder' ? 'this child, and everybody below it' : 'this delegation, and everybody below it'
      const line = answer.outcome === 'revoked' ? `Revoked: ${what}.` : `It was revoked before: ${what}.`
      return { json: { outcome: answer.outcome, ...answer.revoked }, lines: [line] }
    }
    case 'unknown':
      throw new CommandError('DEVICE_UNKNOWN', {
        deviceId,
        fix: `See the devices: holdfast devices ${placeOptions(wiring)}`,
      })
    case 'subject-unknown':
      throw new CommandError('USAGE', {
        reason: 'the id of a delegation or of a child, whole, as `holdfast tree` prints it',
      })
    case 'approver-too-small':
      throw new CommandError('APPROVER_TOO_SMALL', { missing: answer.missing })
  }
}

/** What a gateway that is gone has left behind counts as nothing. */
async function liveTrees({
  location,
}: Wiring): Promise<{ trees: readonly DelegationTree[]; running: boolean }> {
  const [note, snapshot] = [await readGatewayNote(location), await readDelegations(location)]
  const running = note !== null
  return { running, trees: running && snapshot?.pid === note.pid ? snapshot.trees : [] }
}

function rootOf(trees: readonly DelegationTree[], id: string): DeviceId | null {
  const holds = (node: DelegationNode): boolean =>
    node.holderId === id || node.delegationId === id || node.children.some(holds)
  return trees.find(({ children }) => children.some(holds))?.deviceId ?? null
}

function linesOf(
  node: DelegationNode,
  { nowMs, indent, last }: { readonly nowMs: number; readonly indent: string; readonly last: boolean },
): string[] {
  const { holderId, delegationId, scopes, expiresAtMs, connections, children } = node
  const facts = [
    scopes.join(' ') || 'no scope',
    `${span(expiresAtMs - nowMs)} left`,
    `${connections} ${connections === 1 ? 'connection' : 'connections'}`,
  ]
  const below = `${indent}${last ? '   ' : '|  '}`
  return [
    `${indent}${last ? '`-' : '|-'} ${holderId}`,
    `${below}${facts.join(', ')} (delegation ${delegationId})`,
    ...children.flatMap((child, at) =>
      linesOf(child, { nowMs, indent: below, last: at === children.length - 1 }),
    ),
  ]
}
